"""Addresses we listen on: `host:port` in two parts, and who can reach it."""

from __future__ import annotations

import ipaddress


def split_listen(listen: str) -> tuple[str, int]:
    """(host, port) of `127.0.0.1:9870`, `[::1]:9870`. Raises ValueError, without showing it."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 <= int(port[:6]) <= 65_535:
        raise ValueError("expected host:port, such as 127.0.0.1:9870 or [::1]:9870")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name other than `localhost` may mean anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
