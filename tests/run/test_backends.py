"""Back ends that fail in known ways fail in these ways: asked with plain sockets and HTTP."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from parkwarden.run.backends import Backend, Fault


def post(backend: Backend, size: int, timeout: float = 0.3) -> object:
    request = urllib.request.Request(f"http://{backend.address}/v1/traces", data=b"x" * size)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Retry-After")
    except urllib.error.URLError as error:
        return type(error.reason)
    except OSError as error:
        return type(error)


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Fault.HEALTHY, 200),
        (Fault.FLAPPING, 200),
        (Fault.REFUSED, ConnectionRefusedError),
        (Fault.BLACK_HOLE, TimeoutError),
        (Fault.SILENT, TimeoutError),
        (Fault.HANG, TimeoutError),
        (Fault.SLOW_DRAIN, TimeoutError),
        (Fault.RESET, ConnectionResetError),
        (Fault.UNIMPLEMENTED, (404, None)),
        (Fault.RESOURCE_EXHAUSTED, (429, "7")),
    ],
)
def test_each_fault_shows_itself(fault: Fault, answer: object) -> None:
    """What a sender meets is what the fault's name says, and only a healthy back end takes anything."""
    with Backend(fault, retry_after_s=7) as backend:
        assert post(backend, 2_000) == answer
    assert sum(backend.taken.values()) == (fault in (Fault.HEALTHY, Fault.FLAPPING))


def test_a_black_hole_does_not_even_connect() -> None:
    """Unlike a silent one, with which a connect works."""
    with Backend(Fault.BLACK_HOLE) as backend, pytest.raises(TimeoutError):
        socket.create_connection((backend.host, backend.port), timeout=0.2)
    with Backend(Fault.SILENT) as backend:
        socket.create_connection((backend.host, backend.port), timeout=1).close()


def test_a_flapping_back_end_goes_and_comes_back_on_its_port() -> None:
    """Healthy and refused by turns."""
    found: list[Any] = []
    with Backend(Fault.FLAPPING, flap_s=(0.1, 0.1)) as backend:
        while len(set(found)) < 2 or found[-1] != 200:
            found.append(post(backend, 10))
            assert len(found) < 10_000
    assert all(one == 200 or issubclass(one, ConnectionError) for one in set(found))
