"""Addresses and labels from outside -> `Target`: checked, capped, never with credentials.

Raises only BadAddressError, whose text never holds the address itself: a password may be in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from parkwarden.collect.discovery.settings import PerTarget
from parkwarden.model.instance import Target

MAX_URL = 2048
"""Characters of an address; browsers and proxies end near 2,000 too."""
MIN_INTERVAL_S = 1.0
"""A discovered target cannot ask for more frequent readings: nobody who writes labels decides what we spend."""
MAX_LABELS = 32
"""Labels of one target that are kept; pods of large shops carry some dozen."""
MAX_LABEL_NAME = 128
"""Characters of a label's name; a Kubernetes name has up to 63 and a prefix."""
MAX_LABEL_VALUE = 256
"""Characters of a label's value; longer ones are cut: a label is a word, and each target's are held in memory."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_PLAIN = re.compile(r"(?:(https?)://)?((?:[a-z0-9_-]+\.)*[a-z0-9_-]+):([0-9]{1,5})", re.ASCII)
"""What nearly all addresses look like: 20,000 of them are read in a fifth of the time a URL library takes."""
_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252}):[0-9]{1,5}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")


class BadAddressError(ValueError):
    """Not an address of a target; the text says why without showing it."""


def is_address(text: str) -> bool:
    """Whether a name that somebody tells is `host:port`, as targets of our own are named."""
    return _ADDRESS.fullmatch(text) is not None


def parse_url(text: str) -> tuple[str, str]:
    """(id, base URL) of `http://host:6060/prefix`, `host:6060` or `unix:/path`; a tail `/debug/pprof` is taken off."""
    if len(text) > MAX_URL:
        raise BadAddressError(f"longer than {MAX_URL:,} characters")
    plain = _PLAIN.fullmatch(text)
    if plain and 0 < int(plain[3]) < 65_536:
        return f"{plain[2]}:{int(plain[3])}", f"{plain[1] or 'http'}://{plain[2]}:{int(plain[3])}"
    from yarl import URL

    if not text or _UNPRINTABLE.search(text):
        raise BadAddressError("empty, or with blanks or control characters")
    if text.startswith("unix:"):
        path = "/" + text[len("unix:") :].lstrip("/")
        return f"unix:{path}", f"unix:{path}"
    try:
        url = URL(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError:
        raise BadAddressError("not a URL") from None
    if url.scheme not in ("http", "https"):
        raise BadAddressError("not http, https or unix")
    if not url.host or not port:
        raise BadAddressError("without host or port")
    if url.user is not None or url.password is not None:
        raise BadAddressError("with user or password in it: they belong into `auth`")
    if url.query_string or url.fragment:
        raise BadAddressError("with a query or fragment: the base URL is wanted")
    path = url.path.rstrip("/").removesuffix("/debug/pprof").removesuffix("/debug").rstrip("/")
    host = f"[{url.host}]" if ":" in url.host else url.host
    shown_path = URL.build(path=path).raw_path if path else ""
    return f"{host}:{port}{shown_path}", f"{url.scheme}://{host}:{port}{shown_path}"


def clean_labels(labels: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """(labels within their limits, how many were cut or left out). Names not made of letters, digits and _ are left out;
    known labels come first, so a flood of others cannot push them out."""
    kept: dict[str, str] = {}
    lost = 0
    known = ("service", "env", "team", "sla_tier", "version")
    for name in sorted(labels, key=lambda n: (n not in known, n)):
        value = labels[name]
        if not value:
            continue
        if len(kept) >= MAX_LABELS or len(name) > MAX_LABEL_NAME or not _NAME.fullmatch(name):
            lost += 1
            continue
        if len(value) > MAX_LABEL_VALUE:
            value = value[: MAX_LABEL_VALUE - 1] + "…"
            lost += 1
        kept[name] = value
    return kept, lost


def path_of(text: str, default: str) -> str:
    """An endpoint's path as a target or pod tells it: absolute, capped, `default` where it is no path."""
    if not text:
        return default
    if len(text) > MAX_URL or _UNPRINTABLE.search(text) or "://" in text:
        return default
    return text if text.startswith("/") else f"/{text}"


def make_target(
    url: str,
    per: PerTarget,
    labels: Mapping[str, str] | None = None,
    *,
    target_id: str = "",
    metrics_path: str = "",
    pprof_path: str = "",
    interval_s: float = 0.0,
    start_time: float | None = None,
    restarts: int | None = None,
) -> Target:
    """One target of a source; raises BadAddressError. What the target says itself goes before what its source says."""
    own_id, base = parse_url(url)
    merged, _lost = clean_labels({**per.labels, **(labels or {})})
    return Target(
        id=(target_id or own_id)[:MAX_URL],
        url=base,
        labels=merged,
        auth=per.auth,
        interval_s=max(interval_s, MIN_INTERVAL_S) if interval_s else per.interval_s,
        metrics_path=path_of(metrics_path, per.metrics_path),
        pprof_path=path_of(pprof_path, per.pprof_path),
        vars_path=per.vars_path,
        start_time=start_time,
        go_budget=per.go_budget,
        restarts=restarts,
    )
