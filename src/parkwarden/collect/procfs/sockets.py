"""Socket inodes -> protocol, state and peer, from the tables of a process's network namespace (/proc/PID/net).

A table lists every socket of the namespace, so it has a size cap; lines of other processes' sockets are skipped before anything
of them is decoded. Sources: net/ipv4/tcp_ipv4.c: get_tcp4_sock, net/ipv4/udp.c: udp4_format_sock, net/unix/af_unix.c: unix_seq_show,
include/net/tcp_states.h.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Set
from functools import lru_cache
from typing import NamedTuple

from parkwarden.collect.procfs import tcp
from parkwarden.collect.procfs.files import Proc

MAX_TABLE = 64 << 20
"""Bytes read of one table: 400,000 connections in one namespace; making sense of so many takes a second."""
MAX_NAME = 200
"""Characters kept of a Unix socket's path (the kernel's own limit is 108 bytes, escapes make it longer)."""

TCP_STATES = (
    "", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
)  # fmt: skip
_UNIX_STATES = {1: "unconnected", 2: "connecting", 3: "connected", 4: "disconnecting"}
_MAPPED = b"\0" * 10 + b"\xff\xff"
_LISTENING_UNIX = 0x10000  # __SO_ACCEPTCON in the flags


class Socket(NamedTuple):
    """One socket, as its namespace tells it."""

    protocol: str
    """tcp, udp, unix, netlink, packet, raw."""
    state: str
    local: str
    peer: str
    """What it is grouped by: `10.0.0.7:443`; of connections that came in at a listening port the address alone."""
    remote: str = ""
    """The peer with its port, always."""

    @property
    def what(self) -> str:
        """As a group is called: `tcp ESTABLISHED 10.0.0.7:443`."""
        return " ".join(word for word in (self.protocol, self.state, self.peer) if word)


UNKNOWN = Socket("socket", "", "", "neither bound nor connected")
"""In no table: made and not yet bound, closed by both sides, or of a family that has no table."""


def sockets(proc: Proc, pid: int, wanted: Set[int], asked: tcp.Answer | None = None) -> dict[int, Socket]:
    """The wanted inodes that are known: TCP from what netlink told (`asked`), else from the tables, as all others are."""
    found: dict[int, Socket] = {}
    if not wanted:
        return found
    if asked is not None:
        for inode, row in asked.rows.items():
            found[inode] = _tcp(row.state, row.source, row.source_port, row.peer, row.peer_port, asked.listening)
    else:
        _internet(proc, pid, "tcp", wanted, found)
    if len(found) < len(wanted):
        _unix(proc, pid, wanted, found)
    if len(found) < len(wanted):
        _internet(proc, pid, "udp", wanted, found)
    for name, column in (("netlink", 9), ("packet", 8), ("raw", 9), ("raw6", 9)):
        if len(found) < len(wanted):
            _others(proc, pid, name, column, wanted, found)
    return found


def listeners(proc: Proc, pid: int | str) -> dict[int, tuple[bytes, int]]:
    """TCP sockets that listen in a process's network namespace: inode -> (address as 4 or 16 bytes, all zero for any; port)."""
    found: dict[int, tuple[bytes, int]] = {}
    for name in ("tcp", "tcp6"):
        for line in (proc.bytes(proc.path(pid, "net", name), MAX_TABLE, wanted=name == "tcp") or b"").splitlines()[1:]:
            words = line.split(None, 10)
            if len(words) > 9 and words[3] == b"0A" and (inode := _int(words[9])):
                found[inode] = _end(words[1])
    return found


def _internet(proc: Proc, pid: int, protocol: str, wanted: Set[int], found: dict[int, Socket]) -> None:
    rows: list[tuple[int, bytes, bytes, bytes]] = []
    listening: set[int] = set()
    for name in (protocol, f"{protocol}6"):
        text = proc.bytes(proc.path(pid, "net", name), MAX_TABLE, wanted=name == "tcp") or b""
        for line in text.splitlines()[1:]:
            words = line.split(None, 10)
            if len(words) < 10:
                continue
            if words[3] == b"0A":
                listening.add(_int(words[1].rpartition(b":")[2], 16))
            inode = _int(words[9])
            if inode in wanted:
                rows.append((inode, words[1], words[2], words[3]))
    for inode, local, remote, state in rows:
        (source, near), (peer, far) = _end(local), _end(remote)
        if protocol == "tcp":
            found[inode] = _tcp(_int(state, 16), source, near, peer, far, listening)
        else:
            connected = state == b"01"
            here, there = address(source, near), address(peer, far) if connected else ""
            found[inode] = Socket("udp", "connected" if connected else "bound", here, there or here, there)


def _tcp(state: int, source: bytes, near: int, peer: bytes, far: int, listening: Set[int]) -> Socket:
    told = TCP_STATES[state] if 0 < state < len(TCP_STATES) else str(state)
    here = address(source, near)
    if told == "LISTEN":
        return Socket("tcp", told, here, here)
    there = address(peer, far)
    return Socket("tcp", told, here, host(peer) if near in listening else there, there)


def _unix(proc: Proc, pid: int, wanted: Set[int], found: dict[int, Socket]) -> None:
    text = proc.bytes(proc.path(pid, "net", "unix"), MAX_TABLE, wanted=False) or b""
    for line in text.splitlines()[1:]:
        words = line.split(None, 7)
        inode = _int(words[6]) if len(words) > 6 else 0
        if inode not in wanted:
            continue
        name = words[7].decode("utf-8", "backslashreplace")[:MAX_NAME] if len(words) > 7 else ""
        flags, state = _int(words[3], 16), _int(words[5], 16)
        told = "LISTEN" if flags & _LISTENING_UNIX else _UNIX_STATES.get(state, "")
        found[inode] = Socket("unix", told, name, name, name)


def _others(proc: Proc, pid: int, name: str, column: int, wanted: Set[int], found: dict[int, Socket]) -> None:
    text = proc.bytes(proc.path(pid, "net", name), MAX_TABLE, wanted=False) or b""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > column and (inode := _int(words[column])) in wanted:
            found[inode] = Socket(name.removesuffix("6"), "", "", "")


def _int(word: bytes, base: int = 10) -> int:
    try:
        return int(word, base)
    except ValueError:
        return 0


def _end(word: bytes) -> tuple[bytes, int]:
    """`0100007F:1F90` -> the address in network order (4 or 16 bytes, empty for what is none) and the port."""
    name, _, port = word.rpartition(b":")
    return _raw(name), _int(port, 16)


@lru_cache(maxsize=4096)
def _raw(word: bytes) -> bytes:
    """The kernel prints each 32-bit word of an address in the machine's own order."""
    if len(word) not in (8, 32):
        return b""
    try:
        return b"".join([int(word[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(word), 8)])
    except (ValueError, OverflowError):
        return b""


@lru_cache(maxsize=4096)
def host(raw: bytes) -> str:
    """4 or 16 bytes as text, IPv6 in brackets, IPv4 in IPv6's clothes as what it is, `?` for anything else."""
    raw = raw.removeprefix(_MAPPED) if len(raw) == 16 else raw
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]" if len(raw) == 16 else "?"


def address(raw: bytes, port: int) -> str:
    """`127.0.0.1:8080`, `[::1]:8080`."""
    return f"{host(raw)}:{port}"
