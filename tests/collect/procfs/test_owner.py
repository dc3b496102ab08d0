"""Whose port it is: on this machine, and in a tree that stands for one."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest

from parkwarden.collect.procfs import look, owner_of, ports_of
from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.owner import local_addresses
from tests.collect.procfs.tree import HEADER, PID, grow, row

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the real /proc")
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.0.5
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
"""


@linux
def test_our_own_port_is_ours() -> None:
    """By name, by address, by an address that any listener answers; a port that nobody listens at is nobody's."""
    with socket.socket() as one:
        one.bind(("0.0.0.0", 0))
        one.listen()
        port = one.getsockname()[1]
        assert owner_of("127.0.0.1", port) == os.getpid()
        assert owner_of("localhost", port) == os.getpid()
        assert ("127.0.0.1", port) in ports_of(os.getpid())
    assert owner_of("127.0.0.1", port) is None
    assert owner_of("192.0.2.1", port) is None
    assert owner_of("no such host", port) is None


@linux
def test_a_look_at_ourselves_leaves_nothing_open() -> None:
    """The real kernel tells us of ourselves, and no descriptor stays open."""
    before = len(os.listdir("/proc/self/fd"))
    local = look(os.getpid())
    assert local.open_fds is not None
    assert local.kinds is not None
    assert sum(local.kinds.values()) == local.open_fds
    assert local.threads is not None
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.byteorder != "little", reason="addresses are printed in the machine's order")
def test_other_namespaces_are_asked_by_their_addresses(tmp_path: Path) -> None:
    """A pod's address is nobody's in our network namespace; the namespace that calls it its own knows who listens."""
    table = HEADER + row(7, "00000000:17AC", "00000000:0000", "0A") + row(8, "0A00000A:17AC", "00000000:0000", "0A")
    files = {f"{PID}/net/tcp": table, f"{PID}/net/fib_trie": TRIE, "self/net/tcp": HEADER}
    root = grow(tmp_path, {3: "socket:[7]"}, files)
    (tmp_path / "self" / "ns").mkdir()
    (tmp_path / "self" / "ns" / "net").symlink_to("net:[0]")
    assert local_addresses(Proc(root), PID) == {ipaddress.ip_address("10.0.0.5")}
    assert owner_of("10.0.0.5", 6060, root=root) == PID
    assert owner_of("::ffff:10.0.0.5", 6060, root=root) == PID
    assert owner_of("10.0.0.6", 6060, root=root) is None
    assert owner_of("10.0.0.5", 6061, root=root) is None
