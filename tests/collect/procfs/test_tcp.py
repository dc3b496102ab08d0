"""Netlink's answers about connections, made of bytes."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.procfs import tcp
from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.sockets import Socket, sockets
from parkwarden.collect.procfs.tcp import Answer, Row


def attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + b"\0" * (-len(body) % 4)


def message(
    inode: int,
    state: int = 1,
    *,
    ports: tuple[int, int] = (8080, 50000),
    info: tuple[int, int, int] | None = (3, 1500, 7),
    others: int = 1,
) -> bytes:
    attributes = attribute(8, b"\1") * others  # INET_DIAG_SHUTDOWN goes first, and is skipped
    if info is not None:
        attributes += attribute(2, struct.pack("=24xI40xI28xI", *info) + b"\0" * 100)
    ends = socket.inet_aton("10.0.0.5") + b"\0" * 12 + socket.inet_aton("10.0.0.9") + b"\0" * 12
    body = struct.pack("=BBBB", socket.AF_INET, state, 0, 0) + struct.pack("!HH", *ports) + ends + b"\0" * 12
    body += struct.pack("=IIIII", 0, 0, 4096, 0, inode) + attributes
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 0, 0) + body


DONE = struct.pack("=IHHII", 20, 3, 2, 0, 0) + b"\0\0\0\0"


def test_answers_are_read_to_the_last_one() -> None:
    """Wanted sockets arrive with their tcp_info, others only by the port they listen at; the last message ends it."""
    found = Answer()
    data = message(11) + message(12, info=None) + message(13, state=10, ports=(8080, 0)) + DONE
    assert tcp.parse(data, frozenset([11, 12]), found)
    assert found.listening == {8080}
    near, far = socket.inet_aton("10.0.0.5"), socket.inet_aton("10.0.0.9")
    assert found.rows == {
        11: Row(1, near, 8080, far, 50000, 4096, 3, 1500, 7),
        12: Row(1, near, 8080, far, 50000, 4096, None, None, None),
    }
    assert not tcp.parse(message(11), frozenset([11]), Answer())


def test_messages_need_not_be_alike() -> None:
    """Where one message has its tcp_info another may have none, or have it elsewhere: none borrows another's numbers."""
    found = Answer()
    one, two, three = (1, 10, 100), (2, 20, 200), (3, 30, 300)
    data = (
        message(1, info=one) + message(2, info=two, others=3) + message(3, info=None) + message(4, info=None, others=40)
    )
    data += message(5, info=three) + message(6, info=one) + DONE
    assert tcp.parse(data, frozenset(range(9)), found)
    assert [row[-3:] for row in found.rows.values()] == [one, two, (None,) * 3, (None,) * 3, three, one]


def test_an_error_is_no_answer() -> None:
    """What the kernel refuses is an OSError with its number, which becomes a problem."""
    with pytest.raises(OSError, match="netlink refused") as refused:
        tcp.parse(struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -1), frozenset(), Answer())
    assert refused.value.errno == 1


def test_sockets_by_netlink_read_as_those_of_the_tables() -> None:
    """Who came in at a port that is listened at is named without its port."""
    found = Answer()
    tcp.parse(
        message(11) + message(14, state=8, ports=(50001, 443)) + message(13, 10, ports=(8080, 0)),
        frozenset([11, 13, 14]),
        found,
    )
    named = sockets(Proc("/nowhere"), 1, frozenset([11, 13, 14]), found)
    assert named[11] == Socket("tcp", "ESTABLISHED", "10.0.0.5:8080", "10.0.0.9", "10.0.0.9:50000")
    assert named[14].what == "tcp CLOSE_WAIT 10.0.0.9:443"
    assert named[13].what == "tcp LISTEN 10.0.0.5:8080"
    told = tcp.connections([(i, one.state, one.peer) for i, one in named.items()], found)
    by_state = {one.state: one for one in told}
    assert (by_state["ESTABLISHED"].retransmits, by_state["ESTABLISHED"].unacked) == (7, 3)
    assert (by_state["ESTABLISHED"].rtt_ms, by_state["ESTABLISHED"].send_queue) == (1.5, 4096)
    assert by_state["LISTEN"].send_queue is None


@given(st.binary(max_size=400), st.integers(0, 3))
def test_any_bytes_are_answered(tail: bytes, whole: int) -> None:
    """Damage ends a datagram; nothing but an answer of the kernel's that says error raises, and what came before is kept."""
    found = Answer()
    data = message(11) * whole + tail
    try:
        tcp.parse(data, frozenset([11]), found)
    except OSError:
        assert tail
    assert bool(found.rows) >= bool(whole)
