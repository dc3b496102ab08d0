"""Whose port is it: from an address of this host to the process that listens there.

Listening sockets are found in the tables of a network namespace, their owner by looking through /proc/*/fd. Our own namespace comes
first; where the pid namespace is shared (a sidecar, an agent with hostPID), those of other processes follow, each by the addresses it
calls its own (net/fib_trie, net/if_inet6). Needs the right to read other processes' /proc/PID/fd; without it nobody is found.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.sockets import listeners

MAX_PROCESSES = 20_000
"""Processes looked through: more run on no machine we know of."""
MAX_LINKS = 400_000
"""Descriptors looked at in one search, some 2 us each."""
MAX_NAMESPACES = 256
"""Network namespaces looked at, one for each pod of a large node."""
_TABLE_BYTES = 8 << 20


def owner_of(host: str, port: int, *, root: str = "/proc") -> int | None:
    """The pid that listens at `host:port`, None where that is no address of this host or nobody is found. Resolves names (may block)."""
    proc = Proc(root)
    wanted = _addresses(host)
    if not wanted:
        return None
    own = local_addresses(proc, "self")
    if any(ip.is_loopback or ip in own for ip in wanted):
        pid = _listener(proc, "self", wanted, port)
        if pid is not None:
            return pid
    wanted = {ip for ip in wanted if not ip.is_loopback}
    for pid in _one_of_each_namespace(proc) if wanted else ():
        if (
            not wanted.isdisjoint(local_addresses(proc, pid))
            and (found := _listener(proc, pid, wanted, port)) is not None
        ):
            return found
    return None


IP = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    return found


def ports_of(pid: int, *, root: str = "/proc") -> list[tuple[str, int]]:
    """Where a process listens by TCP: (host to connect to, port), loopback and any-address first."""
    proc = Proc(root)
    inodes = {_inode(link) for link in _links(proc, pid, [MAX_LINKS])}
    found = []
    for inode, (raw, port) in listeners(proc, pid).items():
        if inode in inodes and raw:
            ip = ipaddress.ip_address(raw)
            host = ("127.0.0.1" if ip.version == 4 else "::1") if ip.is_unspecified else str(ip)
            found.append((not (ip.is_loopback or ip.is_unspecified), host, port))
    return [(host, port) for _, host, port in sorted(found)]


def _addresses(host: str) -> set[IP]:
    with suppress(ValueError):
        return {_plain(ipaddress.ip_address(host.strip("[]")))}
    try:
        told = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {_plain(ipaddress.ip_address(one[4][0])) for one in told}


def _plain(ip: IP) -> IP:
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


def _listener(proc: Proc, namespace: int | str, wanted: set[IP], port: int) -> int | None:
    inodes = set()
    for inode, (raw, at) in listeners(proc, namespace).items():
        if raw and at == port and ((ip := ipaddress.ip_address(raw)).is_unspecified or ip in wanted):
            inodes.add(inode)
    if not inodes:
        return None
    left = [MAX_LINKS]
    for pid in _pids(proc):
        if any(_inode(link) in inodes for link in _links(proc, pid, left)):
            return pid
    return None


def _pids(proc: Proc) -> list[int]:
    """Newest first: a service is younger than the system's own processes."""
    try:
        names = os.listdir(proc.root)
    except OSError:
        return []
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)[:MAX_PROCESSES]


def _one_of_each_namespace(proc: Proc) -> Iterator[int]:
    seen = {_namespace(proc, "self"), ""}
    for pid in _pids(proc):
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
    return int(number) if link.startswith("socket:[") and number.isdecimal() else 0
