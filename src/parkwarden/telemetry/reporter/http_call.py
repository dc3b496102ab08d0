"""HTTP/1.1 posts over one kept connection, each before a deadline. No redirects, no proxies, no cookies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h11

from parkwarden.telemetry.reporter.target import Target
from parkwarden.telemetry.reporter.wire import MAX_REPLY, BrokenError, Channel, Wire


@dataclass(frozen=True, slots=True)
class HttpReply:
    status: int
    retry_after: str
    body: bytes


class HttpChannel(Channel):
    """Connects with the first post, and again after whatever broke."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._h11: Any = None

    def post(self, path: str, content_type: str, body: bytes, deadline: float, encoding: str = "") -> HttpReply:
        """`encoding`: what the body is packed with, "" = it is not. Raises NotReachedError, or BrokenError where it is not known what
        the back end has."""
        try:
            wire = self._connected(deadline)
            headers = [
                ("host", self._target.address), ("user-agent", "parkwarden"), ("content-type", content_type),
                ("content-length", str(len(body))), *([("content-encoding", encoding)] if encoding else ()),
                *self._target.headers.items(),
            ]  # fmt: skip
            data = self._h11.send(h11.Request(method="POST", target=path, headers=headers))
            data += self._h11.send(h11.Data(data=body)) + self._h11.send(h11.EndOfMessage())
            try:
                wire.write(data, deadline)
            except BrokenError:  # it may have answered without reading all (413, 429): hear it
                return self._heard(wire, deadline)
            return self._heard(wire, deadline)
        except h11.ProtocolError as error:
            self.drop()
            raise BrokenError(f"no HTTP: {error}"[:200]) from error
        except BaseException:
            self.drop()
            raise

    def _heard(self, wire: Wire, deadline: float) -> HttpReply:
        status, retry_after, body = 0, "", bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(wire.read(deadline))
            elif isinstance(event, h11.Response):
                status = event.status_code
                retry_after = dict(event.headers).get(b"retry-after", b"").decode("latin-1")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_REPLY:
                    raise BrokenError("the answer is too long")
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise BrokenError("the back end closed the connection")
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        else:
            self.drop()
        return HttpReply(status, retry_after, bytes(body))

    def _connected(self, deadline: float) -> Wire:
        if self._wire is not None and self._wire.pending() is not None:  # closed, or talking out of turn
            self.drop()
        if self._wire is None:
            self._wire = wire = Wire(self._target, ("http/1.1",))
            wire.connect(deadline)
            self._h11 = h11.Connection(h11.CLIENT)
        return self._wire
