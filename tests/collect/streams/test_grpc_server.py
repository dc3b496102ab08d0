"""The one way gRPC receivers are started, asked by gRPC's own client over the loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from grpc import aio

from parkwarden.collect.streams.grpc_server import both_streams, client_stream, come_back_later, serve, unary
from parkwarden.collect.streams.settings import Listener
from parkwarden.model.errors import UsageError
from parkwarden.model.instance import Secret
from parkwarden.protos.rpc_status_pb2 import RetryInfo, Status

LIMIT = 1_000


async def echo(body: bytes, _call: object) -> bytes:
    return body


async def full(_body: bytes, call: aio.ServicerContext[bytes, bytes]) -> bytes:
    return await come_back_later(call, 2.5, "too much")


async def count(messages: AsyncIterator[bytes], _call: object) -> bytes:
    return b"%d" % len([body async for body in messages])


async def back(messages: AsyncIterator[bytes], _call: object) -> AsyncIterator[bytes]:
    async for body in messages:
        yield body


METHODS = {
    "/t.S/echo": unary(echo),
    "/t.S/full": unary(full),
    "/t.S/count": client_stream(count),
    "/t.S/back": both_streams(back),
}

Ask = Callable[[aio.Channel], Awaitable[object]]


def asked(ask: Ask, token: Secret | None = None) -> object:
    """What `ask` brought from a server of METHODS."""

    async def main() -> object:
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        listener = Listener(listen="127.0.0.1:0", token=token)
        unguarded = frozenset({"/t.S/count"})
        server = asyncio.create_task(
            serve(
                listener, METHODS, setting="otlp.grpc", bound=address.set_result, max_message=LIMIT, unguarded=unguarded
            )
        )
        try:
            async with aio.insecure_channel(await address) as channel:
                return await ask(channel)
        finally:
            server.cancel()
            async with asyncio.timeout(2):
                await asyncio.wait([server])

    return asyncio.run(main())


async def messages(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


async def _code(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    assert isinstance(caught.value, aio.AioRpcError)
    return caught.value.code()


def test_each_shape_of_call_is_answered() -> None:
    """One question, a stream of them, streams both ways; the server ends with its task and leaves no thread."""

    async def ask(channel: aio.Channel) -> object:
        both = channel.stream_stream("/t.S/back")(messages(b"1", b"2"))
        return (
            await channel.unary_unary("/t.S/echo")(b"hello"),
            await channel.stream_unary("/t.S/count")(messages(b"a", b"b", b"c")),
            [body async for body in both],
        )

    assert asked(ask) == (b"hello", b"3", [b"1", b"2"])
    assert [thread for thread in threading.enumerate() if not thread.daemon] == [threading.main_thread()]


def test_what_is_not_served_and_what_is_too_large_is_refused_by_its_code() -> None:
    """UNIMPLEMENTED tells an agent to stop asking; a message beyond the limit is not taken, packed or not."""

    async def ask(channel: aio.Channel) -> object:
        echo = channel.unary_unary("/t.S/echo")
        return (
            await _code(channel.unary_unary("/t.S/other")(b"")),
            await _code(echo(b"x" * (LIMIT + 1))),
            await _code(echo(b"x" * 1_000_000, compression=grpc.Compression.Gzip)),
            await echo(b"x" * LIMIT, compression=grpc.Compression.Gzip) == b"x" * LIMIT,
        )

    too_large = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asked(ask) == (grpc.StatusCode.UNIMPLEMENTED, too_large, too_large, True)


def test_a_refusal_tells_when_to_come_back() -> None:
    """As google.rpc.RetryInfo in the status' details, which OpenTelemetry's senders heed."""

    async def ask(channel: aio.Channel) -> object:
        try:
            await channel.unary_unary("/t.S/full")(b"")
        except aio.AioRpcError as error:
            return error
        return None

    error = asked(ask)
    assert isinstance(error, aio.AioRpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    sent = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert isinstance(sent, bytes)
    (detail,) = Status.FromString(sent).details
    assert detail.type_url.endswith("/google.rpc.RetryInfo")
    assert RetryInfo.FromString(detail.value).retry_delay.ToMilliseconds() == 2_500


@pytest.mark.parametrize(
    ("metadata", "answered"),
    [
        ((), False),
        ((("authorization", "Bearer word"),), True),
        ((("authorization", "bearer word"),), True),
        ((("authentication", "word"),), True),
        ((("authorization", "word"),), False),
        ((("authorization", "Basic word"),), False),
        ((("authentication", "Word"),), False),
    ],
)
def test_a_token_is_asked_for_in_both_ways_that_senders_show_it(
    metadata: tuple[tuple[str, str], ...], answered: bool
) -> None:
    """OpenTelemetry's `authorization` and SkyWalking's `authentication`; what is unguarded is answered to anybody."""

    async def ask(channel: aio.Channel) -> object:
        assert await channel.stream_unary("/t.S/count")(messages(b"a")) == b"1"
        call = channel.unary_unary("/t.S/echo")(b"hello", metadata=metadata)
        if answered:
            return await call
        return await _code(call)

    assert asked(ask, Secret("word")) == (b"hello" if answered else grpc.StatusCode.UNAUTHENTICATED)


def test_an_address_in_use_or_a_certificate_that_is_not_there_is_said_so() -> None:
    """Two watches must not share a port by halves; both errors say what is wrong and what to change."""

    async def twice() -> tuple[str, str]:
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        first = asyncio.create_task(
            serve(Listener(listen="127.0.0.1:0"), METHODS, setting="otlp.grpc", bound=address.set_result)
        )
        with pytest.raises(UsageError) as second:
            await serve(Listener(listen=await address), METHODS, setting="otlp.grpc", bound=print)
        with pytest.raises(UsageError) as third:
            await serve(
                Listener(listen="127.0.0.1:0", cert_file="no.pem", key_file="no.key"),
                METHODS,
                setting="otlp.grpc",
                bound=print,
            )
        first.cancel()
        await asyncio.wait([first])
        assert "Address already in use" in second.value.message
        assert "receive.otlp.grpc.listen" in second.value.hint
        return second.value.code, third.value.code

    assert asyncio.run(twice()) == ("address-in-use", "certificate")


def test_an_endless_stream_does_not_hold_up_the_end() -> None:
    """Agents never end their streams: the server does, at once."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        address: asyncio.Future[str] = loop.create_future()
        server = asyncio.create_task(
            serve(Listener(listen="127.0.0.1:0"), METHODS, setting="otlp.grpc", bound=address.set_result)
        )
        async with aio.insecure_channel(await address) as channel:
            call = channel.stream_unary("/t.S/count")()
            await call.write(b"a")
            began = loop.time()
            server.cancel()
            await asyncio.wait([server])
            took = loop.time() - began
            async with asyncio.timeout(2):
                assert await call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        return took

    assert asyncio.run(main()) < 2
