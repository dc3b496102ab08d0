"""tcp_info of connections by netlink's sock_diag: what was sent again, what is not acknowledged, how long a round trip takes.

Asked of the kernel in our own network namespace, no other can be asked without entering it. Read here with `struct`: pyroute2 does
the same at 120 us a socket and 0.3 s for its import (measured, 5,002 sockets), of which a look at 10,000 has not the time.

Sources: include/uapi/linux/inet_diag.h (inet_diag_req_v2, inet_diag_msg), include/uapi/linux/tcp.h: struct tcp_info, netlink(7), sock_diag(7).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Set
from dataclasses import dataclass
from statistics import median

from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.sockets import Socket
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
_MESSAGE = struct.Struct("=BBBB48xIIIII")  # family, state, timer, retrans, (id), expires, rqueue, wqueue, uid, inode
_ATTRIBUTE = struct.Struct("=HH")
_TCP_INFO = struct.Struct("=24xI40xI28xI")  # tcpi_unacked, tcpi_rtt, tcpi_total_retrans (Linux 2.6 and later)


@dataclass(frozen=True, slots=True)
class Info:
    """Of one connection."""

    send_queue: int
    unacked: int
    rtt_us: int
    retransmits: int


def infos(proc: Proc, pid: int, wanted: Set[int]) -> dict[int, Info]:
    """tcp_info by socket inode; empty, with a problem, where netlink is refused or the process is in another network namespace."""
    where = "netlink sock_diag"
    try:
        if os.readlink(proc.path(pid, "ns/net")) != os.readlink("/proc/self/ns/net"):
            text = "the process is in another network namespace: retransmits, queues and round-trip times are not told"
            proc.problems.append(Problem("other-namespace", where, text))
            return {}
        found: dict[int, Info] = {}
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(TIMEOUT_S)
            for family in (socket.AF_INET, socket.AF_INET6):
                _dump(netlink, family, wanted, found)
    except (OSError, AttributeError, struct.error) as error:  # no netlink: another system, a sandbox, seccomp
        proc.problems.append(
            Problem("no-netlink", where, f"connections' tcp_info is not to be had: {type(error).__name__}")
        )
        return {}
    return found


def _dump(netlink: socket.socket, family: int, wanted: Set[int], found: dict[int, Info]) -> None:
    request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ALL_STATES)
    netlink.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, family, 0) + request)
    total = 0
    while total < MAX_BYTES:
        data = netlink.recv(1 << 18)
        total += len(data)
        if not data or parse(data, wanted, found):
            return


def parse(data: bytes, wanted: Set[int], found: dict[int, Info]) -> bool:
    """One datagram of answers; True when it holds the last one. A damaged message ends the datagram. Raises OSError for an error answer."""
    at = 0
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
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _HEADER.size + _MESSAGE.size:
            *_, wqueue, _uid, inode = _MESSAGE.unpack_from(data, body)
            if inode in wanted:
                found[inode] = _info(data, body + _MESSAGE.size, at + length, wqueue)
        at += (length + 3) & ~3
    return False


def _info(data: bytes, at: int, end: int, wqueue: int) -> Info:
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > end:
            break
        if kind == _INFO and length >= _ATTRIBUTE.size + _TCP_INFO.size:
            unacked, rtt, retransmits = _TCP_INFO.unpack_from(data, at + _ATTRIBUTE.size)
            return Info(wqueue, unacked, rtt, retransmits)
        at += (length + 3) & ~3
    return Info(wqueue, 0, 0, 0)


def connections(found: dict[int, Socket], told: dict[int, Info]) -> tuple[Connections, ...]:
    """TCP sockets by state and peer, most first; numbers only where netlink told them."""
    groups: dict[tuple[str, str], list[Info | None]] = {}
    for inode, one in found.items():
        if one.protocol == "tcp":
            groups.setdefault((one.state, one.peer), []).append(told.get(inode))
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:MAX_CONNECTIONS]
    return tuple(_together(state, peer, infos) for (state, peer), infos in ranked)


def _together(state: str, peer: str, infos: list[Info | None]) -> Connections:
    known = [info for info in infos if info is not None]
    if not known or state == "LISTEN":  # of a listener the queues count connections, not bytes
        return Connections(state=state, peer=peer, count=len(infos))
    return Connections(
        state=state,
        peer=peer,
        count=len(infos),
        retransmits=sum(info.retransmits for info in known),
        unacked=sum(info.unacked for info in known),
        rtt_ms=median(info.rtt_us for info in known) / 1000,
        send_queue=sum(info.send_queue for info in known),
    )
