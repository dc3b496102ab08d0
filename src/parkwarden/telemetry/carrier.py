"""Headers a trace travels in: SkyWalking's sw8 (v3) and W3C trace context, read and written.

Input is what anybody on the network sent. Nothing here raises on it: `extract` gives back a carrier or None, and says which
headers were bad; a bad header counts as absent. It neither suppresses a trace nor ends a request (SkyWalking's Python
agent 1.2 does both). Limits: MAX_HEADER, MAX_ID, MAX_TRACESTATE and the lengths of sw8's own specification.

Source: apache/skywalking docs/en/api/x-process-propagation-headers-v3.md; W3C Trace Context, Level 1 (versions above 00 are
read as it asks).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace

from parkwarden.telemetry.segment import Ref, RefKind, w3c_span_id, w3c_trace_id

SW8, TRACEPARENT, TRACESTATE = "sw8", "traceparent", "tracestate"
CORRELATION, EXTENSION = "sw8-correlation", "sw8-x"

MAX_HEADER = 2048
"""Characters of an sw8 or traceparent header: sw8's specification says below 2 KB."""
MAX_ID = 128
"""Characters of a trace's or segment's id: SkyWalking's are about 60, W3C's 32."""
MAX_NAME, MAX_ENDPOINT = 50, 150
"""Characters of service and instance, and of endpoint and peer, in sw8: its specification's. What is longer is cut."""
MAX_SPAN_ID = 2**31 - 1
"""sw8's span id is a signed 32 bit integer on the wire."""
MAX_TRACESTATE, MAX_MEMBERS = 512, 32
"""Characters and members of a tracestate handed on: what W3C asks everybody to hand on at least, and allows at most."""

MAX_CORRELATED = 3
"""Pairs of an sw8-correlation: its specification's. Their values, of 128 bytes at most, are handed on as they came."""

_TITLES = {name: name.title() for name in (SW8, TRACEPARENT, TRACESTATE, CORRELATION, EXTENSION)}
_SW8_PARTS = 8
_CORRELATED = re.compile(r"[A-Za-z0-9+/]{1,172}={0,2}:[A-Za-z0-9+/]{0,172}={0,2}", re.ASCII)
"""Base64 of 128 bytes is 172 letters."""
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)
_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]", re.ASCII
)
_PRINTABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Carrier:
    """Who calls, and what it decided. `w3c_id` and `tracestate` are what W3C's headers said, "" where there were none.

    Beside a valid sw8: `correlation` is what goes along with the trace (sw8-correlation, as it came), and `skip` says that its
    spans are to be kept but not analysed (sw8-x).
    """

    sampled: bool
    ref: Ref
    w3c_id: str = ""
    tracestate: str = ""
    correlation: str = ""
    skip: bool = False


def extract(headers: Mapping[str, str]) -> tuple[Carrier | None, list[str]]:
    """The caller's carrier, and which headers were bad ("sw8", "traceparent", "tracestate", "sw8-correlation").

    Names are looked up in lower case and as `Traceparent`, which is what copies of a framework's headers have. Where both kinds are valid sw8
    says who called and what was decided (it knows more), and W3C's trace id and state are handed on beside it.
    """
    bad: list[str] = []
    sw8, parent = _header(headers, SW8, bad), _header(headers, TRACEPARENT, bad)
    if not (sw8 or parent or bad):
        return None, bad
    state = _header(headers, TRACESTATE, bad)
    ours = _read(SW8, sw8, bad)
    if ours is not None:
        ours = _with_more(ours, headers, bad)
    theirs = _read(TRACEPARENT, parent, bad)
    if theirs is None:
        return ours, bad
    if state and not _good_state(state):
        bad.append(TRACESTATE)
        state = ""
    said = ours or theirs
    return replace(said, w3c_id=theirs.ref.trace_id, tracestate=state), bad


def inject(
    headers: MutableMapping[str, str],
    ref: Ref,
    w3c_id: str = "",
    tracestate: str = "",
    correlation: str = "",
    skip: bool = False,
) -> None:
    """Write the headers of a sampled call that `ref` describes (its `peer` is who is called)."""
    span = w3c_span_id(ref.segment_id, ref.span_id)
    headers[TRACEPARENT] = f"00-{w3c_id or w3c_trace_id(ref.trace_id)}-{span}-01"
    headers[SW8] = write_sw8(ref)
    if correlation:
        headers[CORRELATION] = correlation
    if skip:
        headers[EXTENSION] = "1-"
    if tracestate:
        headers[TRACESTATE] = tracestate


def inject_unsampled(headers: MutableMapping[str, str], trace_id: str, w3c_id: str = "", tracestate: str = "") -> None:
    """Write that this trace is not sampled: traceparent with its flag off and an id of no span, and no sw8.

    Who speaks W3C keeps to that, while today's SkyWalking agents take any sw8 for a reason to trace (Java) or for a parent
    that will never be reported (Go, Python).
    """
    headers[TRACEPARENT] = f"00-{w3c_id or w3c_trace_id(trace_id)}-{w3c_span_id(trace_id, 0)}-00"
    if tracestate:
        headers[TRACESTATE] = tracestate


def write_sw8(ref: Ref) -> str:
    """Always below MAX_HEADER: names are cut to their limits in bytes."""
    names = ((ref.service, MAX_NAME), (ref.instance, MAX_NAME), (ref.endpoint, MAX_ENDPOINT), (ref.peer, MAX_ENDPOINT))
    texts = [text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore") for text, limit in names]
    return "-".join(["1", _b64(ref.trace_id), _b64(ref.segment_id), str(ref.span_id), *map(_b64, texts)])


def read_sw8(header: str) -> Carrier:
    """Raises ValueError where it is malformed."""
    parts = header.split("-")
    if len(header) > MAX_HEADER or len(parts) != _SW8_PARTS or parts[0] not in ("0", "1"):
        raise ValueError("sw8")
    number = parts[3]
    if not (number.isascii() and number.isdigit() and len(number) <= 10 and int(number) <= MAX_SPAN_ID):
        raise ValueError("sw8 span id")
    trace_id, segment_id, *texts = (_unb64(part) for part in (*parts[1:3], *parts[4:]))
    for name in (trace_id, segment_id):
        if len(name) > MAX_ID or not _PRINTABLE.fullmatch(name):
            raise ValueError("sw8 id")
    service, instance, endpoint, peer = texts
    return Carrier(
        parts[0] == "1",
        Ref(
            RefKind.CROSS_PROCESS, trace_id, segment_id, int(number),
            service[:MAX_NAME], instance[:MAX_NAME], endpoint[:MAX_ENDPOINT], peer[:MAX_ENDPOINT],
        ),
    )  # fmt: skip


def read_traceparent(header: str) -> Carrier:
    """Raises ValueError where it is malformed. A version above 00 may say more behind its flags; 00 may not."""
    found = _TRACEPARENT.fullmatch(header) if len(header) <= MAX_HEADER else None
    if found is None or (found[1] == "00" and found[5] is not None):
        raise ValueError("traceparent")
    return Carrier(bool(int(found[4], 16) & 1), Ref(RefKind.CROSS_PROCESS, found[2], found[3], 0))


_READERS = {SW8: read_sw8, TRACEPARENT: read_traceparent}


def _read(name: str, header: str, bad: list[str]) -> Carrier | None:
    try:
        return _READERS[name](header) if header else None
    except ValueError:  # Base64Error and UnicodeDecodeError are ValueErrors
        bad.append(name)
        return None


def _with_more(ours: Carrier, headers: Mapping[str, str], bad: list[str]) -> Carrier:
    correlation, extension = (_header(headers, name, bad) for name in (CORRELATION, EXTENSION))
    if correlation:
        pairs = correlation.split(",") if len(correlation) <= MAX_HEADER else []
        if not 0 < len(pairs) <= MAX_CORRELATED or not all(_CORRELATED.fullmatch(pair) for pair in pairs):
            bad.append(CORRELATION)
            correlation = ""
    skip = extension.partition("-")[0].strip() == "1"
    return replace(ours, correlation=correlation, skip=skip) if correlation or skip else ours


def _header(headers: Mapping[str, str], name: str, bad: list[str]) -> str:
    try:
        value = headers.get(name)
        if value is None:
            value = headers.get(_TITLES[name])
    except Exception:  # the host's mapping may be anything
        value = b""  # type: ignore[assignment]
    if value is None or isinstance(value, str):
        return (value or "").strip(" \t")
    bad.append(name)
    return ""


def _good_state(state: str) -> bool:
    members = [member.strip(" \t") for member in state.split(",")] if len(state) <= MAX_TRACESTATE else []
    return 0 < len(members) <= MAX_MEMBERS and all(_MEMBER.fullmatch(member) for member in members if member)


def _b64(text: str) -> str:
    return b64encode(text.encode("utf-8", "replace")).decode("ascii")


def _unb64(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode("utf-8")
    except (Base64Error, UnicodeError) as error:
        raise ValueError("sw8 base64") from error
