"""The configuration: `parkwarden.yaml` -> `Config`.

    config = load("parkwarden.yaml")            # raises ConfigError: file, line, key path, what is wrong, what would be right
    config = from_urls(["http://localhost:6060"])

Each section is a frozen dataclass of the layer it sets; pydantic validates them as they are, unknown keys are refused. Secrets stand in the
environment or in files, never in the configuration, and are `model.Secret` from then on. docs/configuration.md lists every setting.

Limits: MAX_CONFIG_BYTES, MAX_DEPTH, MAX_NODES, MAX_SCALAR (`_config_yaml`); no YAML aliases, tags, second documents or repeated keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from parkwarden.act.settings import Channels
from parkwarden.act.settings import problems as channel_problems
from parkwarden.alert.policy import Policy
from parkwarden.collect.discovery.addresses import BadAddressError, parse_url
from parkwarden.collect.discovery.settings import DiscoverySettings, StaticTargets
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.collect.streams.settings import Listener, ReceiveSettings
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model.errors import UsageError
from parkwarden.model.instance import Auth, Secret
from parkwarden.model.listening import is_loopback, split_listen
from parkwarden.run._config_types import Preparer, explain
from parkwarden.run._config_yaml import MAX_CONFIG_BYTES, ConfigError, ConfigProblem, Document, parse
from parkwarden.store.settings import StoreSettings
from parkwarden.telemetry.settings import TelemetrySettings

__all__ = [
    "Config",
    "ConfigError",
    "ConfigProblem",
    "LogSettings",
    "TokenSettings",
    "WebSettings",
    "from_urls",
    "load",
    "load_rules",
    "parse_config",
]

T = TypeVar("T")

MIN_INTERVAL_S = 0.1
"""Between two readings or profiles: below, watching would be all that anybody does."""
MIN_TOKEN = 16
"""Characters of a web token: what a machine makes (`openssl rand -hex 16`) and nobody guesses."""
MAX_TOKENS = 1_000
"""Web tokens: each one shown is compared with all of them, which takes a millisecond then."""
MAX_NAME = 60
"""Characters of a web token's name: it stands in pages, notifications and the state."""
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_MATCHER = r'[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(rf"(?:\{{\s*(?:{_MATCHER}\s*(?:,\s*|(?=\}})))*\}})?", re.ASCII)
"""`{a="b", c=~"d"}` or nothing: what is put into a query between other words must not say more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Somebody who may see our pages."""

    name: str
    """Whose it is: what an acknowledgement is signed with. Each name once."""
    token: Secret
    """Shown on the login page, or as `Authorization: Bearer …`; at least 16 characters."""
    role: Literal["viewer", "operator"] = "viewer"
    """`viewer` reads; `operator` acknowledges, silences, resolves and uploads as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Our own pages: fleet, incidents, metrics, health."""

    listen: str = "127.0.0.1:9870"
    """`host:port` to listen on. Any host but a loopback one demands a token."""
    token: Secret | None = None
    """One operator's token, called `operator`: short for one entry of `tokens`. Without any token nobody is asked, which only the loopback allows."""
    tokens: tuple[TokenSettings, ...] = ()
    """Who may see our pages and who may act, a token each; at most 1,000."""
    cert_file: str = ""
    """Our certificate (PEM) for https, with `key_file`; "" = plain http."""
    key_file: str = ""
    """Its private key (PEM)."""

    @property
    def everybody(self) -> tuple[TokenSettings, ...]:
        """All who have a token."""
        alone = () if self.token is None else (TokenSettings(name="operator", token=self.token, role="operator"),)
        return alone + self.tokens

    @property
    def host(self) -> str:
        return split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        return split_listen(self.listen)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What we write about ourselves, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, JSON lines elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything `parkwarden.yaml` says. Every section may be left out."""

    targets: tuple[StaticTargets, ...] = ()
    """Services that stay where they are."""
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    """Where other targets are found."""
    collect: CollectSettings = field(default_factory=CollectSettings)
    """How often targets are looked at, and what looking may cost them."""
    receive: ReceiveSettings = field(default_factory=ReceiveSettings)
    """What senders may bring us: Prometheus remote write, OpenTelemetry, SkyWalking agents."""
    rules: Rules = field(default_factory=Rules)
    """Thresholds of the judges, one group per detector (docs/detectors/)."""
    alert: Policy = field(default_factory=Policy)
    """Who is told what, when and how often."""
    channels: Channels = field(default_factory=Channels)
    """Where incidents are told, by kind and name; routes of `alert` speak of the names."""
    store: StoreSettings = field(default_factory=StoreSettings)
    """What is kept, where, and for how long."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    """What we report of ourselves and of what we found, to OpenTelemetry and SkyWalking back ends."""
    web: WebSettings = field(default_factory=WebSettings)
    """Our own pages."""
    log: LogSettings = field(default_factory=LogSettings)
    """Our own log."""

    @property
    def streams(self) -> bool:
        """Whether others tell of instances."""
        return bool(self.collect.prometheus) or self.receive.any


def load(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration file. Raises ConfigError, UsageError (no such file, too large, not text)."""
    file = Path(path)
    return parse_config(_text(file), str(file), environ=environ, folder=file.parent)


def parse_config(
    text: str, name: str = "parkwarden.yaml", *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Config:
    """`load` for a text that is already there; `folder` is what relative paths are relative to."""
    return _read(text, name, Config, _check, environ, folder or Path())


def load_rules(path: str | os.PathLike[str]) -> Rules:
    """The thresholds of a file that holds only them, or of the `rules:` section of a whole configuration (nothing else of it is
    looked at, its secrets are not needed). Raises as `load`."""
    file = Path(path)
    text = _text(file)
    data = parse(text, str(file)).data
    if "rules" in data:
        return _read(text, str(file), Rules, None, {}, file.parent, ("rules",))
    return _read(text, str(file), Rules, None, {}, file.parent)


def from_urls(urls: Sequence[str]) -> Config:
    """What `parkwarden watch URL…` means: all defaults, these targets. User and password in a URL become its `auth`.

    Raises UsageError without showing a password.
    """
    groups = []
    for n, text in enumerate(urls, 1):
        url, auth = _split_credentials(text)
        try:
            parse_url(url)
        except BadAddressError as error:
            hint = "http://host:6060, https://host/prefix or unix:/path.sock"
            which = f"URL {n} of {len(urls)} is" if len(urls) > 1 else "this is"
            raise UsageError("bad-url", f"{which} not the URL of a service: {error}", hint=hint) from None
        groups.append(StaticTargets(urls=(url,), auth=auth))
    return Config(targets=tuple(groups))


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_CONFIG_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("config-unreadable", f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise UsageError(
            "config-unreadable", f"cannot read {file}: {error.strerror}", hint="does it exist, and may you read it?"
        ) from None
    if len(raw) > MAX_CONFIG_BYTES:
        hint = "long lists of targets belong into discovery.file_sd"
        raise UsageError("config-too-large", f"{file} is larger than {MAX_CONFIG_BYTES >> 20} MiB", hint=hint)
    return text


def _read(
    text: str,
    name: str,
    cls: type[T],
    check: Callable[[T, Document], None] | None,
    environ: Mapping[str, str] | None,
    folder: Path,
    section: tuple[str, ...] = (),
) -> T:
    from pydantic import ValidationError

    document = parse(text, name)
    found: T
    data: Any = document.data
    for part in section:
        data = data[part]
    prepared = Preparer(document, os.environ if environ is None else environ, folder).prepare(data, cls, section)
    told = len(document.problems)
    try:
        wanted: Any = cls
        (found,) = adapter(wanted).validate_python((prepared,))
    except ValidationError as error:
        for one in error.errors(include_url=False):
            explain({**one, "loc": (*section, *one["loc"][1:])}, document, told)
    document.check()
    if check is not None:
        check(found, document)
        document.check()
    return found


@cache
def adapter(cls: Any) -> Any:
    """pydantic's reader of a settings dataclass: no unknown keys, no infinities, no values in errors. It reads a tuple of one: only so
    do the dataclasses, which know nothing of pydantic, take over a configuration of it."""
    from types import GenericAlias

    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False, hide_input_in_errors=True)
    one: Any = GenericAlias(tuple, (cls,))
    return TypeAdapter(one, config=config)


def _check(config: Config, document: Document) -> None:
    """What no single value shows: addresses, times that must not be 0, who may reach us."""
    for name in ("interval_s", "close_every_s", "timeout_s"):
        _often(document, ("collect", name), getattr(config.collect, name))
    for i, group in enumerate(config.targets):
        _often(document, ("targets", i, "interval_s"), group.interval_s or MIN_INTERVAL_S)
        for j, url in enumerate(group.urls):
            try:
                parse_url(url)
            except BadAddressError as error:
                document.problem(("targets", i, "urls", j), f"not an address of a target: {error}")
    _check_discovery(config.discovery, document)
    for found in channel_problems(config.channels, config.alert):
        path = tuple(int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", found.where))
        document.problem(path, found.text)
    for key in ("url", "evidence_url"):
        if _has_password(getattr(config.store, key)):
            hint = "password: {env: NAME}" if key == "url" else "evidence_options: {secret: {env: NAME}}"
            document.problem(("store", key), "a secret must not stand in the configuration itself", f"write `{hint}`")
    _check_web(config.web, document)
    _check_receive(config.receive, document)
    _check_telemetry(config.telemetry, document)
    _check_prometheus(config.collect.prometheus, document)


def _has_password(url: str) -> bool:
    from urllib.parse import urlsplit

    try:
        return bool(urlsplit(url).password) or "password=" in url
    except ValueError:
        return False


def _check_discovery(discovery: DiscoverySettings, document: Document) -> None:
    where = ("discovery", "http_sd")
    for i, http in enumerate(discovery.http_sd):
        if problem := _url_problem(http.url):
            document.problem((*where, i, "url"), f"not the URL of a discovery server: {problem}")
        _positive(document, (*where, i), refresh_interval_s=http.refresh_interval_s, timeout_s=http.timeout_s)
    for i, files in enumerate(discovery.file_sd):
        for j, name in enumerate(files.files):
            if not name.endswith((".json", ".yml", ".yaml")):
                document.problem(("discovery", "file_sd", i, "files", j), "the name must end in .json, .yml or .yaml")
        _positive(document, ("discovery", "file_sd", i), refresh_interval_s=files.refresh_interval_s)
    names = [k.cluster for k in discovery.kubernetes]
    for i, pods in enumerate(discovery.kubernetes):
        here = ("discovery", "kubernetes", i)
        if names.count(pods.cluster) > 1:
            document.problem((*here, "cluster"), "several clusters need a name each: this one has none or another's")
        if pods.api_server and (problem := _url_problem(pods.api_server)):
            document.problem((*here, "api_server"), f"not the URL of an API server: {problem}")
        if pods.scheme not in ("http", "https"):
            document.problem((*here, "scheme"), "expected http or https")
        if not 0 <= pods.port <= 65_535:
            document.problem((*here, "port"), f"expected a port, 0..65535; given: {pods.port}")
    if discovery.max_targets < 1:
        document.problem(("discovery", "max_targets"), f"expected at least 1; given: {discovery.max_targets}")


def _check_web(web: WebSettings, document: Document) -> None:
    try:
        host, _port = split_listen(web.listen)
    except ValueError as error:
        document.problem(("web", "listen"), str(error))
        return
    if not web.everybody and not is_loopback(host):
        document.problem(
            ("web", "listen"),
            "an address that others can reach needs `web.token` or `web.tokens`",
            "set `web.token: {env: PARKWARDEN_TOKEN}`, or listen on 127.0.0.1",
        )
    _check_tokens(web, document)
    if bool(web.cert_file) != bool(web.key_file):
        document.problem(("web",), "`cert_file` and `key_file` go together")


def _check_receive(receive: ReceiveSettings, document: Document) -> None:
    otlp = receive.otlp
    listeners: list[tuple[tuple[str, ...], Listener]] = [
        (("remote_write",), receive.remote_write),
        (("otlp", "grpc"), otlp.grpc),
        (("otlp", "http"), otlp.http),
        (("skywalking",), receive.skywalking),
    ]
    for path, one in listeners:
        here = ("receive", *path)
        if bool(one.cert_file) != bool(one.key_file):
            document.problem(here, "`cert_file` and `key_file` go together")
        if one.token is not None and len(one.token.reveal()) < MIN_TOKEN:
            document.problem((*here, "token"), f"shorter than {MIN_TOKEN} characters", "make one: openssl rand -hex 16")
        if not one.listen:
            continue
        try:
            host, _port = split_listen(one.listen)
        except ValueError as error:
            document.problem((*here, "listen"), str(error))
            continue
        if one.token is None and not one.anybody and not is_loopback(host):
            hint = "set `token: {env: NAME}`, or `anybody: true` where only your services reach it"
            document.problem((*here, "listen"), "an address that others can reach needs a token", hint)
    if receive.points_per_s < 1:
        document.problem(("receive", "points_per_s"), f"expected at least 1; given: {receive.points_per_s}")


def _check_telemetry(telemetry: TelemetrySettings, document: Document) -> None:
    from parkwarden.telemetry.reporter.target import header_problem

    for name, backend in (("otlp", telemetry.otlp), ("skywalking", telemetry.skywalking)):
        here = ("telemetry", name)
        if backend.url and (problem := _backend_problem(backend.url)):
            document.problem((*here, "url"), f"not the URL of a back end: {problem}")
        for header, value in backend.headers.items():
            if problem := header_problem(header.lower(), value.reveal()):
                document.problem((*here, "headers"), problem)
        if bool(backend.cert_file) != bool(backend.key_file):
            document.problem(here, "`cert_file` and `key_file` go together")
    _often(document, ("telemetry", "metrics_every_s"), telemetry.metrics_every_s)


def _backend_problem(text: str) -> str:
    """Why this is no back end's URL; "" if it is one. A port has no default: gRPC and HTTP have one each."""
    problem = _url_problem(text)
    if problem.startswith("user"):
        return "user and password belong into `headers`, as `authorization: {env: NAME}`"
    if problem == "no URL":
        return problem
    url = urlsplit(text)
    if problem or url.port is None or url.query or url.fragment:
        return "expected http://host:port or https://host:port (OTLP: 4317 gRPC, 4318 HTTP; SkyWalking: 11800)"
    signal = re.search(r"/v1/(traces|logs|metrics)/?$", url.path)
    return f"only what stands before {signal[0]}" if signal else ""


def _check_tokens(web: WebSettings, document: Document) -> None:
    if len(web.tokens) > MAX_TOKENS:
        document.problem(("web", "tokens"), f"expected at most {MAX_TOKENS:,}; given: {len(web.tokens):,}")
    names, words = [one.name for one in web.everybody], [one.token.reveal() for one in web.everybody]
    for n, one in enumerate(web.everybody):
        path = (
            ("web", "token")
            if web.token is not None and n == 0
            else ("web", "tokens", len(web.tokens) - len(names) + n)
        )
        if len(words[n]) < MIN_TOKEN:
            document.problem(path, f"shorter than {MIN_TOKEN} characters", "make one: openssl rand -hex 16")
        if words[n] in words[:n]:
            document.problem(path, "the same token as another's: whose is it?", "make another: openssl rand -hex 16")
        if not one.name.strip() or len(one.name) > MAX_NAME or not one.name.isprintable():
            document.problem((*path, "name"), f"expected 1 to {MAX_NAME} printable characters")
        elif one.name in names[:n]:
            document.problem((*path, "name"), "the name of another token, too")


def _check_prometheus(sources: Sequence[PrometheusSource], document: Document) -> None:
    for i, one in enumerate(sources):
        here = ("collect", "prometheus", i)
        if problem := _url_problem(one.url):
            document.problem((*here, "url"), f"not the base URL of a Prometheus: {problem}")
        _positive(document, here, interval_s=one.interval_s, timeout_s=one.timeout_s)
        if not _SELECTOR.fullmatch(one.selector.strip()):
            hint = """write `'{job=~"shop-.*", env="prod"}'`"""
            document.problem((*here, "selector"), "expected matchers in braces, without a metric's name", hint)
        if one.requests and not _METRIC.fullmatch(one.requests):
            document.problem((*here, "requests"), "expected a metric's name")
        if not one.id_labels or not all(_LABEL.fullmatch(name) for name in one.id_labels):
            document.problem((*here, "id_labels"), "expected names of labels, at least one")
        if one.pprof.port > 65_535:
            document.problem((*here, "pprof", "port"), f"expected a port, 0..65535; given: {one.pprof.port}")


def _often(document: Document, path: tuple[str | int, ...], value: float) -> None:
    if value < MIN_INTERVAL_S:
        document.problem(path, f"expected at least {MIN_INTERVAL_S * 1000:g}ms; given: {value:g}")


def _positive(document: Document, path: tuple[str | int, ...], **values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            document.problem((*path, name), f"expected more than 0; given: {value:g}")


def _url_problem(text: str) -> str:
    """Why this is no http(s) URL without credentials; "" if it is. A query is allowed: a discovery may need one."""
    from yarl import URL

    try:
        url = URL(text)
        port = url.port
    except ValueError:
        return "no URL"
    if url.scheme not in ("http", "https") or not url.host or not port:
        return "expected http://host/… or https://host/…"
    return "user and password belong into `auth`" if url.user is not None or url.password is not None else ""


def _split_credentials(text: str) -> tuple[str, Auth | None]:
    """A URL of the command line without its user and password, and these."""
    from yarl import URL

    if text.startswith("unix:") or "@" not in text:
        return text, None
    try:
        url = URL(text if "://" in text else f"http://{text}")
        auth = Auth(user=url.user or "", password=Secret(url.password or ""))
        return str(url.with_user(None)), auth
    except ValueError:
        raise UsageError("bad-url", "not the URL of a service", hint="http://user:password@host:6060") from None
