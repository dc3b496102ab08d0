"""Targets from the pods of a cluster: list, then watch, through the Kubernetes API (decision 0006: why no client library).

Per namespace (or once for all): a paginated list, then a watch from its resourceVersion with bookmarks; a watch that ends is taken up where
it ended; 410 Gone (the server has forgotten that version, in the status line or as an ERROR event) lists anew. Any failure keeps what is
known, is told as a problem and tried again after RETRY_S, twice that, … up to MAX_RETRY_S. The token is read anew for each request, so a
rotated one counts at once; a new list makes a new client, so a rotated CA does too.

Limits: MAX_PAGE_BYTES, MAX_EVENT_BYTES, MAX_PODS; a watch lives WATCH_S; changes are told at most every BATCH_S.
Source: kubernetes.io/docs/reference/using-api/api-concepts (efficient detection of changes, 410 Gone, bookmarks, chunking).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from parkwarden.collect.discovery._pods import key_of, pod_target
from parkwarden.collect.discovery.client import auth_headers, body, explained, session
from parkwarden.collect.discovery.settings import Kubernetes
from parkwarden.collect.discovery.source import Publish, Source
from parkwarden.model.errors import LimitError, ParkwardenError, UsageError
from parkwarden.model.instance import Auth, Secret, Target

if TYPE_CHECKING:
    import aiohttp

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PAGE_PODS = 500
"""Pods of one page, as kubectl asks."""
MAX_PAGE_BYTES = 64 << 20
"""Of one page: 500 pods of up to 128 KiB; usual ones have 8."""
MAX_EVENT_BYTES = 3 << 20
"""Of one line of a watch: etcd keeps objects up to 1.5 MiB, JSON escapes them."""
MAX_PODS = 150_000
"""Pods known of one source: Kubernetes' own limit for a cluster. Of each only its target is kept."""
MAX_TOKEN_BYTES = 64 << 10
WATCH_S = 290
"""Asked for as `timeoutSeconds`: shorter than the five minutes after which load balancers cut idle connections."""
LIST_TIMEOUT_S = 60.0
"""For one page; the API server gives up after 60 s too."""
RETRY_S = 1.0
"""After the first failure."""
MAX_RETRY_S = 60.0
"""After many: a control plane that comes back must not be trampled."""
BATCH_S = 0.5
"""A rollout changes hundreds of pods at once: they are told together."""


class _GoneError(Exception):
    """The server has forgotten our resourceVersion: list anew."""


class PodDiscovery(Source):
    """`discovery.kubernetes` entry: one cluster."""

    def __init__(
        self,
        settings: Kubernetes,
        name: str = "kubernetes",
        *,
        environ: Mapping[str, str] = os.environ,
        account: str = SERVICE_ACCOUNT,
        **outside: Any,
    ) -> None:
        super().__init__(name, **outside)
        self._settings = settings
        self._environ = environ
        self._account = account
        self._namespaces = settings.namespaces or ("",)
        self._known: dict[str, dict[str, Target | str]] = {n: {} for n in self._namespaces}
        """By namespace watched and pod: its target, or why it is none. Pods that do not want to be one are not kept."""
        self._listed: set[str] = set()
        self._errors: dict[str, tuple[str, str]] = {}
        self._changed = asyncio.Event()
        self.relists = 0
        self.events = 0

    async def run(self, publish: Publish) -> None:
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                group.create_task(self._follow(namespace), name=f"{self.name} {namespace or 'all namespaces'}")
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._tell(publish)
                await self.sleep(BATCH_S)

    def _tell(self, publish: Publish) -> None:
        self.attempt()
        for namespace, (code, text) in sorted(self._errors.items()):
            self.problem(code, f"namespace {namespace}" if namespace else "", f"{text}; what is known stays")
        targets: list[Target] = []
        for pods in self._known.values():
            for key, found in pods.items():
                if isinstance(found, str):
                    self.problem("bad-pod", key[:256], found)
                else:
                    targets.append(found)
        if self._listed:  # before the first list nothing is known, which is not "no targets"
            whole = not self._errors and len(self._listed) == len(self._namespaces)
            self.published(publish, sorted(targets, key=lambda t: t.id), whole=whole)

    async def _follow(self, namespace: str) -> None:
        """List and watch one namespace, for ever."""
        import aiohttp

        failures = 0
        version = ""
        while True:
            try:
                async with session(self._api_auth(), LIST_TIMEOUT_S) as client:
                    while True:
                        if not version:
                            version = await self._list(client, namespace)
                            self._succeeded(namespace)
                        version, told = await self._watch(client, namespace, version)
                        if told:
                            failures = 0
                            self._succeeded(namespace)
                        else:
                            await self.sleep(
                                RETRY_S
                            )  # a server that ends every watch at once is not asked in a tight loop
            except _GoneError:
                version = ""
                self.relists += 1
                if failures == 0:
                    failures = 1  # the next one at once is no more a courtesy of the server
                    continue
                failures += 1
            except (ParkwardenError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                failures += 1
                self.failures += 1
                self._errors[namespace] = explained(error)
                self._changed.set()
            await self.sleep(min(MAX_RETRY_S, RETRY_S * 2.0 ** min(failures - 1, 16)))

    def _succeeded(self, namespace: str) -> None:
        if self._errors.pop(namespace, None) is not None:
            self._changed.set()

    async def _list(self, client: aiohttp.ClientSession, namespace: str) -> str:
        """All pods, page by page; what was known is replaced at the end, at once. Returns the resourceVersion to watch from."""
        import orjson

        found: dict[str, Target | str] = {}
        onward = ""
        while True:
            query = {"limit": str(PAGE_PODS), **({"continue": onward} if onward else {})}
            async with client.get(self._url(namespace), params=self._selected(query), **self._how()) as response:
                await _checked(response)
                page = orjson.loads(await body(response, MAX_PAGE_BYTES))
            items, meta = (page.get("items"), page.get("metadata")) if isinstance(page, dict) else (None, None)
            if not isinstance(meta, dict) or not isinstance(items, list | None):
                raise ParkwardenError("bad-answer", "the API answered something that is no list of pods")
            for pod in items or ():
                self._put(found, pod)
            onward = meta.get("continue") or ""
            if not isinstance(onward, str) or not onward:
                break
        self._known[namespace] = found
        self._listed.add(namespace)
        self._changed.set()
        version = meta.get("resourceVersion")
        if not isinstance(version, str) or not version:
            raise ParkwardenError("bad-answer", "the API's list has no resourceVersion")
        return version

    async def _watch(self, client: aiohttp.ClientSession, namespace: str, version: str) -> tuple[str, bool]:
        """Follow changes until the server ends the watch. (resourceVersion to go on from, whether anything came.)"""
        import aiohttp
        import orjson

        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_S),
        }
        told = False
        # a server that forgets `timeoutSeconds`, or a connection that died in silence, ends here
        timeout = aiohttp.ClientTimeout(total=WATCH_S + 30, sock_connect=5.0)
        async with client.get(
            self._url(namespace), params=self._selected(query), timeout=timeout, **self._how()
        ) as response:
            await _checked(response)
            self._succeeded(namespace)
            async for line in _lines(response):
                event = orjson.loads(line)
                kind = event.get("type") if isinstance(event, dict) else None
                pod = event.get("object") if isinstance(event, dict) else None
                if not isinstance(pod, dict):
                    raise ParkwardenError("bad-answer", "the API's watch told something that is no event")
                if kind == "ERROR":
                    if pod.get("code") == 410 or pod.get("reason") in ("Expired", "Gone"):
                        raise _GoneError
                    raise ParkwardenError("watch-error", f"the API ended the watch with {_code(pod)}")
                told = True
                self.events += 1
                self._apply(namespace, str(kind), pod)
                newer = (
                    pod.get("metadata", {}).get("resourceVersion") if isinstance(pod.get("metadata"), dict) else None
                )
                if isinstance(newer, str) and newer:
                    version = newer
        return version, told

    def _apply(self, namespace: str, kind: str, pod: dict[str, Any]) -> None:
        if kind == "BOOKMARK":
            return
        known = self._known[namespace]
        before = known.get(key_of(pod))
        if kind == "DELETED":
            known.pop(key_of(pod), None)
        else:
            self._put(known, pod)
        if known.get(key_of(pod)) != before:
            self._changed.set()

    def _put(self, into: dict[str, Target | str], pod: Any) -> None:
        key = key_of(pod)
        found = pod_target(pod, self._settings) if key else None
        if found is None:
            into.pop(key, None)
        elif key in into or len(into) < MAX_PODS:
            into[key] = found

    # -- how the API is reached

    def _url(self, namespace: str) -> str:
        server = self._settings.api_server.rstrip("/")
        if not server:
            host, port = (
                self._environ.get("KUBERNETES_SERVICE_HOST", ""),
                self._environ.get("KUBERNETES_SERVICE_PORT", "443"),
            )
            if not host:
                hint = "set api_server, or run in the cluster"
                raise UsageError(
                    "no-cluster", "not in a cluster (no KUBERNETES_SERVICE_HOST) and no api_server", hint=hint
                )
            server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        from urllib.parse import quote

        return f"{server}/api/v1/namespaces/{quote(namespace, safe='')}/pods" if namespace else f"{server}/api/v1/pods"

    def _selected(self, query: dict[str, str]) -> dict[str, str]:
        if self._settings.label_selector:
            query["labelSelector"] = self._settings.label_selector
        if self._settings.field_selector:
            query["fieldSelector"] = self._settings.field_selector
        return query

    def _api_auth(self) -> Auth:
        """The CA of the service account where nothing else is said."""
        if self._settings.api_auth is not None:
            return self._settings.api_auth
        ca = os.path.join(self._account, "ca.crt")
        return Auth(ca_file=ca if os.path.exists(ca) else "")

    def _how(self) -> dict[str, Any]:
        auth = self._settings.api_auth or Auth()
        file = self._settings.token_file
        if not file and self._settings.api_auth is None:
            file = os.path.join(self._account, "token")
            file = file if os.path.exists(file) else ""
        if file:
            try:
                with open(file, encoding="ascii") as stream:
                    auth = Auth(bearer=Secret(stream.read(MAX_TOKEN_BYTES).strip()))
            except (OSError, ValueError):
                raise UsageError("token-file", "the token's file cannot be read") from None
        return {"headers": {"Accept": "application/json", **auth_headers(auth)}, "allow_redirects": False}


async def _checked(response: aiohttp.ClientResponse) -> None:
    """Raises what a status other than 200 means."""
    status = response.status
    if status == 200:
        return
    if status == 410:
        raise _GoneError
    if status == 401:
        raise ParkwardenError("unauthorized", "the API does not know who we are (401): is the token still good?")
    if status == 403:
        raise ParkwardenError("forbidden", "the API refuses (403): the account needs `list` and `watch` on `pods`")
    raise ParkwardenError("bad-status", f"the API answered {status}")


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of a stream, each at most MAX_EVENT_BYTES; a last one without its end is not one."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        rest += chunk
        if b"\n" in chunk:
            *whole, tail = rest.split(b"\n")
            for line in whole:
                if line.strip():
                    yield bytes(line)
            rest = bytearray(tail)
        if len(rest) > MAX_EVENT_BYTES:
            raise LimitError("too-large", f"an event larger than {MAX_EVENT_BYTES >> 20} MiB")


def _code(status: Mapping[str, Any]) -> str:
    code = status.get("code")
    return f"code {code}" if isinstance(code, int) else "no code"
