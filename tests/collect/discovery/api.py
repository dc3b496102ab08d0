"""A Kubernetes API server's pods, played: lists in pages, watches as JSON lines, versions, bookmarks, 410 Gone, tokens.

As kube-apiserver answers (recorded shapes of v1.31: PodList, WatchEvent, Status); what it forgets and refuses is the test's to say.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web


def pod(name: str, *, namespace: str = "shop", ip: str = "10.1.0.1", **more: Any) -> dict[str, Any]:
    """A running pod as the API tells it. `more`: annotations, labels, phase, started, restarts, ports, deleted, owner."""
    meta: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "annotations": {"parkwarden.io/scrape": "true", **more.get("annotations", {})},
        "labels": {"app.kubernetes.io/name": "cart", "app.kubernetes.io/version": "1.4.2", **more.get("labels", {})},
    }
    if more.get("deleted"):
        meta["deletionTimestamp"] = "2026-11-21T08:00:30Z"
    if "owner" in more:
        meta["ownerReferences"] = [{"kind": "ReplicaSet", "name": more["owner"], "controller": True}]
    ports = more.get("ports", [{"name": "http", "containerPort": 8080}, {"name": "debug", "containerPort": 6060}])
    return {
        "metadata": meta,
        "spec": {
            "containers": [
                {"name": "proxy", "ports": [{"name": "admin", "containerPort": 15000}]},
                {"name": "main", "ports": ports},
            ]
        },
        "status": {
            "phase": more.get("phase", "Running"),
            "podIP": ip,
            "containerStatuses": [
                {"name": "proxy", "restartCount": 9, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
                {
                    "name": "main",
                    "restartCount": more.get("restarts", 0),
                    "state": {"running": {"startedAt": more.get("started", "2026-11-21T08:00:00Z")}},
                },
            ],
        },
    }


class Api:
    """`async with Api() as api: api.url`. Tests call `put`, `delete`, `bookmark`, `forget`, `cut`; `asked` is what came in."""

    def __init__(self) -> None:
        self.pods: dict[tuple[str, str], dict[str, Any]] = {}
        self.version = 100
        self.forgotten = 0
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.tokens = {"token-1"}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.authorised: list[bool] = []
        self.page = 2
        self.fail: list[Any] = []
        """Answers to give instead, one per request: a status, or bytes to send without end."""
        self.cuts = 0
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Api:
        app = web.Application()
        app.router.add_get("/api/v1/pods", self._pods)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods", self._pods)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await self._runner.cleanup()

    async def put(self, one: dict[str, Any]) -> None:
        key = (one["metadata"]["namespace"], one["metadata"]["name"])
        await self._event("MODIFIED" if key in self.pods else "ADDED", one)
        self.pods[key] = one

    async def delete(self, name: str, namespace: str = "shop") -> None:
        await self._event("DELETED", self.pods.pop((namespace, name)))

    async def bookmark(self) -> None:
        await self._event("BOOKMARK", {"kind": "Pod", "metadata": {"creationTimestamp": None}})

    async def forget(self) -> None:
        """All versions up to now are compacted: watches from them are Gone."""
        self.version += 1
        self.forgotten = self.version

    async def cut(self) -> None:
        """End all watches, as the server does after their time."""
        async with self._news:
            self.cuts += 1
            self._news.notify_all()

    async def say(self, kind: str, thing: dict[str, Any]) -> None:
        """An event as it is."""
        async with self._news:
            self.events.append((self.version, kind, thing))
            self._news.notify_all()

    async def _event(self, kind: str, thing: dict[str, Any]) -> None:
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        await self.say(kind, thing)

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.query)))
        known = request.headers.get("Authorization", "").removeprefix("Bearer ") in self.tokens
        self.authorised.append(known)
        if not known:
            return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)
        if self.fail:
            wrong = self.fail.pop(0)
            if isinstance(wrong, int):
                return web.json_response({"kind": "Status", "code": wrong}, status=wrong)
            return await self._endless(request, wrong)
        if request.query.get("watch"):
            return await self._watch(request)
        return self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace")
        items = [p for (n, _), p in sorted(self.pods.items()) if namespace in (None, n)]
        start = int(request.query.get("continue", "0"))
        size = min(self.page, int(request.query["limit"]))
        meta: dict[str, Any] = {"resourceVersion": str(self.version)}
        if start + size < len(items):
            meta["continue"] = str(start + size)
        return web.json_response({"kind": "PodList", "metadata": meta, "items": items[start : start + size]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        namespace = request.match_info.get("namespace")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if since < self.forgotten:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return response
        cuts, sent = self.cuts, 0
        while cuts == self.cuts:
            async with self._news:
                new = self.events[sent:]
                if not new:
                    await self._news.wait()
                    continue
            sent += len(new)
            for version, kind, thing in new:
                there = thing.get("metadata", {}).get("namespace", namespace)
                if version > since and namespace in (None, there):
                    await response.write(json.dumps({"type": kind, "object": thing}).encode() + b"\n")
        return response

    async def _endless(self, request: web.Request, piece: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(piece)
