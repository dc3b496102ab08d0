"""Whose port is it: from an address of this host to the process that listens there.

Listening sockets are found in the tables of a network namespace, their owners by looking through /proc/*/fd. Our own namespace comes
first; where the pid namespace is shared (a sidecar, an agent with hostPID), those of other processes follow, each by the addresses it
calls its own (net/fib_trie, net/if_inet6). Needs the right to read other processes' /proc/PID/fd; who refuses it is not found.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.sockets import listeners

MAX_PROCESSES = 20_000
"""Processes looked through: more run on no machine we know of."""
MAX_LINKS = 400_000
"""Descriptors looked at in one search, some 3 us each: a second."""
MAX_NAMESPACES = 256
"""Network namespaces looked at, one for each pod of a large node."""
_TABLE_BYTES = 8 << 20

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class Listening:
    """Who listens where on this host, at one time."""

    spaces: list[tuple[set[IP], dict[int, list[tuple[IP, int]]]]] = field(default_factory=list)
    """Namespaces, ours first: their addresses, and (address, inode) of the sockets that listen there by port."""
    pids: dict[int, list[int]] = field(default_factory=dict)
    """Processes by the inode of a listening socket, oldest first: a child may have inherited it."""

    def owners(self, host: str, port: int, *, resolve: bool = True) -> list[int]:
        """Pids that listen at an address of this host, most likely first; none for other hosts' addresses. `resolve`: ask for names, too."""
        wanted = addresses(host, resolve=resolve)
        found: list[int] = []
        for i, (ips, sockets) in enumerate(self.spaces):
            # a loopback address is meant in our own namespace, and means nobody in another one
            if not any(ip in ips or (ip.is_loopback and i == 0) for ip in wanted):
                continue
            for ip, inode in sockets.get(port, ()):
                if ip.is_unspecified or ip in wanted:
                    found += self.pids.get(inode, ())
        return list(dict.fromkeys(found))


def owner_of(host: str, port: int, *, root: str = "/proc") -> int | None:
    """The pid that listens at `host:port`, None where that is no address of this host or nobody is found. Resolves names (may block)."""
    return next(iter(listening(root=root).owners(host, port)), None)


def process_of(host: str, port: int, told: bytes, *, root: str = "/proc") -> int | None:
    """The pid that listens at `host:port` and has the command line that its pprof tells (`told`: arguments joined by zero bytes).

    A port forward listens here for somebody who runs elsewhere; its command line is another. None where nobody is found.
    """
    wanted = told.rstrip(b"\0")
    for pid in listening(root=root).owners(host, port) if wanted else ():
        if command_line(pid, root=root).rstrip(b"\0") == wanted:
            return pid
    return None


def listening(*, root: str = "/proc") -> Listening:
    """Everybody who listens on this host: one walk over all processes, some 3 us a descriptor."""
    proc = Proc(root)
    found = Listening()
    pids = _pids(proc)
    namespaces: list[int | str] = ["self", *_one_of_each_namespace(proc, pids)]
    for who in namespaces:
        sockets: dict[int, list[tuple[IP, int]]] = {}
        for inode, (raw, port) in listeners(proc, who).items():
            if raw:
                sockets.setdefault(port, []).append((plain(ipaddress.ip_address(raw)), inode))
        found.spaces.append((local_addresses(proc, who), sockets))
    wanted = {inode for _, sockets in found.spaces for at in sockets.values() for _, inode in at}
    left = [MAX_LINKS]
    for pid in pids if wanted else ():
        for inode in {_inode(link) for link in _links(proc, pid, left)} & wanted:
            found.pids.setdefault(inode, []).append(pid)
    return found


def local_addresses(proc: Proc, pid: int | str) -> set[IP]:
    """The addresses a network namespace calls its own (net/ipv4/fib_trie.c: `/32 host LOCAL`, net/ipv6/addrconf.c: if6_seq_show)."""
    found: set[IP] = set()
    last = ""
    text = (proc.bytes(proc.path(pid, "net/fib_trie"), _TABLE_BYTES, wanted=False) or b"").decode("ascii", "replace")
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("|-- "):
            last = word[4:]
        elif word == "/32 host LOCAL":
            with suppress(ValueError):
                found.add(ipaddress.ip_address(last))
    six = (proc.bytes(proc.path(pid, "net/if_inet6"), _TABLE_BYTES, wanted=False) or b"").decode("ascii", "replace")
    for line in six.splitlines():
        with suppress(ValueError):
            found.add(ipaddress.IPv6Address(bytes.fromhex(line.split(" ", 1)[0])))
    return {ip for ip in found if not ip.is_loopback}


def ports_of(pid: int, *, root: str = "/proc") -> list[tuple[str, int]]:
    """Where a process listens by TCP: (host to connect to, port), loopback and any-address first."""
    proc = Proc(root)
    inodes = {_inode(link) for link in _links(proc, pid, [MAX_LINKS])}
    found = []
    for inode, (raw, port) in listeners(proc, pid).items():
        if inode in inodes and raw:
            ip = plain(ipaddress.ip_address(raw))
            host = ("127.0.0.1" if ip.version == 4 else "::1") if ip.is_unspecified else str(ip)
            found.append((not (ip.is_loopback or ip.is_unspecified), host, port))
    return [(host, port) for _, host, port in sorted(found)]


def command_line(pid: int, *, root: str = "/proc") -> bytes:
    """The arguments of a process, each ended by a zero byte; empty where they are refused. They may hold secrets: only compare them."""
    proc = Proc(root)
    return proc.bytes(proc.path(pid, "cmdline"), _TABLE_BYTES, wanted=False) or b""


def addresses(host: str, *, resolve: bool = True) -> set[IP]:
    """What a host's name or address stands for; without `resolve` names other than localhost stand for nothing."""
    with suppress(ValueError):
        return {plain(ipaddress.ip_address(host.strip("[]")))}
    if not resolve:
        local = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
        return set(local) if host.lower() == "localhost" else set()
    try:
        told = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {plain(ipaddress.ip_address(str(one[4][0]).partition("%")[0])) for one in told}


def plain(ip: IP) -> IP:
    """IPv4 in IPv6's clothes as what it is."""
    return (ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None) or ip


def _pids(proc: Proc) -> list[int]:
    try:
        names = os.listdir(proc.root)
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())[:MAX_PROCESSES]


def _one_of_each_namespace(proc: Proc, pids: list[int]) -> Iterator[int]:
    seen = {_namespace(proc, "self"), ""}
    for pid in pids:
        if (name := _namespace(proc, pid)) not in seen and len(seen) <= MAX_NAMESPACES:
            seen.add(name)
            yield pid


def _namespace(proc: Proc, pid: int | str) -> str:
    try:
        return os.readlink(proc.path(pid, "ns/net"))
    except OSError:
        return ""


def _links(proc: Proc, pid: int, left: list[int]) -> Iterator[str]:
    """What a process's descriptors point to, nothing where that is refused; counts `left` down over a whole search."""
    folder = proc.path(pid, "fd")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if left[0] <= 0:
            return
        left[0] -= 1
        with suppress(OSError):
            yield os.readlink(f"{folder}/{name}")


def _inode(link: str) -> int:
    number = link[8:-1]
    return int(number) if link.startswith("socket:[") and number.isascii() and number.isdecimal() else 0
