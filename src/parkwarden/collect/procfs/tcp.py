"""tcp_info of connections by netlink's sock_diag: what was sent again, what is not acknowledged, how long a round trip takes.

Asked of the kernel in our own network namespace, no other can be asked without entering it. Read here with `struct`: pyroute2 does
the same at 120 us a socket and 0.3 s for its import (measured, 5,002 sockets), of which a look at 10,000 has not the time.

Sources: include/uapi/linux/inet_diag.h (inet_diag_req_v2, inet_diag_msg), include/uapi/linux/tcp.h: struct tcp_info, netlink(7), sock_diag(7).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from parkwarden.collect.procfs.files import Proc
from parkwarden.model.artefact import Problem
from parkwarden.model.local import Connections

TIMEOUT_S = 1.0
"""The kernel answers at once; a sandbox that stands in for it may never."""
MAX_BYTES = 128 << 20
"""Of all answers: 300,000 connections of 408 bytes."""
MAX_CONNECTIONS = 200
"""Groups of connections told, largest first."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DONE, _ERROR = 3, 2
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ALL_STATES = 0xFFF
_INFO = 2  # INET_DIAG_INFO
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct(
    "=BB2x4s16s16s12x8xI4xI"
)  # family, state, ports, addresses, (interface, cookie, expires, rqueue), wqueue, inode
_LEAST = _HEADER.size + _MESSAGE.size
_PORTS = struct.Struct("!HH")
_FAMILY_SIZE = {socket.AF_INET: 4, socket.AF_INET6: 16}
_LISTEN = 10
_ATTRIBUTE = struct.Struct("=HH")
_UNTOLD = (None, None, None)
_TCP_INFO = struct.Struct("=24xI40xI28xI")  # tcpi_unacked, tcpi_rtt, tcpi_total_retrans (Linux 2.6 and later)


class Row(NamedTuple):
    """One connection. Addresses in network order, 4 or 16 bytes; None where the kernel told no tcp_info."""

    state: int
    source: bytes
    source_port: int
    peer: bytes
    peer_port: int
    send_queue: int
    unacked: int | None
    rtt_us: int | None
    retransmits: int | None


@dataclass(slots=True)
class Answer:
    """The wanted connections by socket inode, and the ports that anybody in the namespace listens at."""

    rows: dict[int, Row] = field(default_factory=dict)
    listening: set[int] = field(default_factory=set)


def ask(proc: Proc, pid: int, wanted: Set[int]) -> Answer | None:
    """TCP connections of a process; None, with a problem, where netlink is refused or the process is in another network namespace."""
    where = "netlink sock_diag"
    try:
        if os.readlink(proc.path(pid, "ns/net")) != os.readlink("/proc/self/ns/net"):
            text = "the process is in another network namespace: retransmits, queues and round-trip times are not told"
            proc.problems.append(Problem("other-namespace", where, text))
            return None
        found = Answer()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(TIMEOUT_S)
            for family in (socket.AF_INET, socket.AF_INET6):
                _dump(netlink, family, wanted, found)
    except (OSError, AttributeError) as error:  # no netlink: another system, a sandbox, seccomp
        text = f"retransmits, queues and round-trip times are not to be had: {type(error).__name__}"
        proc.problems.append(Problem("no-netlink", where, text))
        return None
    return found


def _dump(netlink: socket.socket, family: int, wanted: Set[int], found: Answer) -> None:
    request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ALL_STATES)
    netlink.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, family, 0) + request)
    total = 0
    while total < MAX_BYTES:
        data = netlink.recv(1 << 18)
        total += len(data)
        if not data or parse(data, wanted, found):
            return


def parse(data: bytes, wanted: Set[int], found: Answer) -> bool:
    """One datagram of answers; True when it holds the last one. A damaged message ends the datagram. Raises OSError for an error answer."""
    at, info = 0, _Place()
    while at + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
        if kind == _DONE:
            return True
        if kind == _ERROR:
            code = struct.unpack_from("=i", data, at + _HEADER.size)[0] if len(data) >= at + _HEADER.size + 4 else 0
            raise OSError(-code, "netlink refused")
        if length < _HEADER.size or at + length > len(data):
            return False
        body = at + _HEADER.size
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _LEAST:
            family, state, ports, source, peer, wqueue, inode = _MESSAGE.unpack_from(data, body)
            if state == _LISTEN:
                found.listening.add(_PORTS.unpack(ports)[0])
            if inode in wanted:
                size = _FAMILY_SIZE.get(family, 0)
                near, far = _PORTS.unpack(ports)
                where = at + info.begins
                if length < info.ends or data[where : where + _ATTRIBUTE.size] != info.mark:
                    info = _place(data, at, at + length)
                    where = at + info.begins
                told = _TCP_INFO.unpack_from(data, where + _ATTRIBUTE.size) if info.mark else _UNTOLD
                found.rows[inode] = Row(state, source[:size], near, peer[:size], far, wqueue, *told)
        at += (length + 3) & ~3
    return False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message has its tcp_info, counted from its beginning: one kernel writes the attributes of one family alike, so that the walk
    to it is made once and not for each of ten thousand. `mark` is the attribute's own beginning; empty where there is none."""

    begins: int = 0
    ends: int = 0
    mark: bytes = b""


def _place(data: bytes, message: int, end: int) -> _Place:
    """The attribute that holds tcp_info."""
    at = message + _LEAST
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > end:
            break
        if kind == _INFO and length >= _ATTRIBUTE.size + _TCP_INFO.size:
            return _Place(at - message, at + length - message, data[at : at + _ATTRIBUTE.size])
        at += (length + 3) & ~3
    return _Place()


def connections(peers: Iterable[tuple[int, str, str]], told: Answer | None) -> tuple[Connections, ...]:
    """TCP sockets, given as (inode, state, peer), by state and peer, most first; numbers only where netlink told them."""
    groups: dict[tuple[str, str], list[int]] = {}
    for inode, state, peer in peers:
        groups.setdefault((state, peer), []).append(inode)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:MAX_CONNECTIONS]
    rows = told.rows if told is not None else {}
    return tuple(_together(*key, len(inodes), [rows[i] for i in inodes if i in rows]) for key, inodes in ranked)


def _together(state: str, peer: str, count: int, rows: list[Row]) -> Connections:
    if not rows or state == "LISTEN":  # of a listener the queues count connections, not bytes
        return Connections(state=state, peer=peer, count=count)
    times = [row.rtt_us for row in rows if row.rtt_us is not None]
    return Connections(
        state=state,
        peer=peer,
        count=count,
        retransmits=_sum(row.retransmits for row in rows),
        unacked=_sum(row.unacked for row in rows),
        rtt_ms=median(times) / 1000 if times else None,
        send_queue=sum(row.send_queue for row in rows),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    told = [value for value in values if value is not None]
    return sum(told) if told else None
