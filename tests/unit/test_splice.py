"""Splices of streams and real TCP sockets: bytes, ends and resets go through as what they are."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from simmate_remote.errors import StreamResetError
from simmate_remote.streams.forward import forward_port, port_of
from simmate_remote.streams.splice import Splice, splice
from tests.unit.wires import WINDOW, Pair, Recorder, joined, settle, until


class Server:
    """A TCP server whose connections are recorded; the far end's target ``server`` leads to it."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[Recorder] = asyncio.Queue()
        self.transports: list[asyncio.Transport] = []
        self.server: asyncio.Server
        self.forwarded: asyncio.Server

    def record(self) -> Recorder:
        recorder = Recorder()
        self.connections.put_nowait(recorder)
        return recorder

    async def accept(self, target: str) -> asyncio.Protocol:
        near, far = splice()
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", port_of(self.server))
        except OSError as error:
            raise StreamResetError(f"{target} does not answer") from error
        return near


@contextlib.asynccontextmanager
async def forwarded(late_end: float = 0.0) -> AsyncIterator[tuple[Server, Pair]]:
    server = Server()
    loop = asyncio.get_running_loop()
    server.server = await loop.create_server(server.record, "127.0.0.1", 0)
    try:
        async with joined(server.accept) as pair:
            server.forwarded = await forward_port(pair.near, "server", late_end=late_end)
            try:
                yield server, pair
            finally:
                server.forwarded.close()
    finally:
        server.server.close()
        for transport in server.transports:
            transport.abort()
        await settle()


async def dial(server: Server) -> tuple[Any, Recorder, Recorder]:
    """Connect through the forwarded port; give the client's transport and both ends' records."""
    transport, near = await asyncio.get_running_loop().create_connection(
        Recorder, "127.0.0.1", port_of(server.forwarded)
    )
    far = await server.connections.get()
    await far.connected.wait()
    server.transports += [transport, far.transport]
    return transport, near, far


async def test_megabytes_in_both_directions_at_once() -> None:
    up, down = random.Random(1).randbytes(3_000_000), random.Random(2).randbytes(2_000_000)
    async with forwarded() as (server, _):
        transport, near, far = await dial(server)
        transport.write(up)
        transport.write_eof()
        far.transport.write(down)
        far.transport.write_eof()
        await asyncio.gather(near.ended.wait(), far.ended.wait())
        assert bytes(far.received) == up
        assert bytes(near.received) == down
        transport.close()
        far.transport.close()


async def test_a_half_close_goes_through_as_a_half_close() -> None:
    async with forwarded() as (server, pair):
        transport, near, far = await dial(server)
        transport.write(b"request")
        transport.write_eof()
        await far.ended.wait()
        assert bytes(far.received) == b"request"
        far.transport.write(b"answer")
        await near.wait_for_bytes(6)
        assert not near.ended.is_set()
        far.transport.close()
        await near.ended.wait()
        transport.close()
        await until(lambda: not (pair.near.streams or pair.far.streams))


@pytest.mark.parametrize("by", ["client", "server"])
async def test_a_reset_goes_through_as_a_reset(by: str) -> None:
    async with forwarded() as (server, pair):
        transport, near, far = await dial(server)
        transport.write(b"begun")
        await far.wait_for_bytes(5)
        ending, other = (transport, far) if by == "client" else (far.transport, near)
        linger = struct.pack("ii", 1, 0)
        ending.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        ending.abort()
        # asyncio closes the socket of the other side without a reset; what counts is that it is no half close.
        await other.ended.wait()
        other.transport.close()
        await until(lambda: not (pair.near.streams or pair.far.streams))


async def test_back_pressure_goes_from_one_socket_through_to_the_other() -> None:
    async with forwarded() as (server, pair):
        transport, near, far = await dial(server)
        far.transport.pause_reading()
        sent = 0
        while not near.paused.is_set() and sent < 400 * WINDOW:
            transport.write(bytes(WINDOW))
            sent += WINDOW
            await asyncio.sleep(0)
        assert near.paused.is_set()
        (stream,) = pair.near._multiplexer._streams.values()
        await until(lambda: stream.full)
        assert stream.sending.kept < 3 * WINDOW
        far.transport.resume_reading()
        await far.wait_for_bytes(sent)
        assert len(far.received) == sent
        transport.close()
        far.transport.close()


async def test_a_target_that_does_not_answer_closes_the_connection_here() -> None:
    async with forwarded() as (server, _):
        server.server.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server.forwarded))
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_a_port_of_a_conversation_that_has_ended_closes_what_connects() -> None:
    async with forwarded() as (server, pair):
        pair.near.close("the session ended")
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server.forwarded))
        assert await reader.read() == b""
        writer.close()


async def test_an_end_can_be_told_a_moment_late_and_bytes_are_not() -> None:
    delay = 0.2
    async with forwarded(late_end=delay) as (server, _):
        transport, near, far = await dial(server)
        loop = asyncio.get_running_loop()
        began = loop.time()
        far.transport.write(b"at once")
        far.transport.close()
        await near.wait_for_bytes(7)
        assert not near.ended.is_set()
        await near.ended.wait()
        assert loop.time() - began >= delay * 0.9
        transport.close()
        # The forwarded port's own socket is closed as late as its end was told.
        await asyncio.sleep(delay * 1.5)


class Fake(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[object] = []

    def write(self, data: Any) -> None:
        self.done.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return "close" in self.done or "abort" in self.done

    def __getattribute__(self, name: str) -> Any:
        if name in {"write_eof", "close", "abort", "pause_reading", "resume_reading"}:
            return lambda: self.done.append(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize(("error", "last"), [(None, "close"), (ConnectionResetError(), "abort")])
def test_a_side_that_came_and_went_before_the_other_was_there_is_followed(error: Exception | None, last: str) -> None:
    one, two = splice()
    two.connection_made(Fake())
    two.data_received(b"early")
    two.eof_received()
    two.connection_lost(error)
    late = Fake()
    one.connection_made(late)
    assert late.done == [b"early", last]


def test_what_came_early_is_written_in_its_order_when_the_other_side_is_there() -> None:
    one, two = splice()
    early, late = Fake(), Fake()
    two.connection_made(early)
    two.data_received(b"early")
    assert early.done == ["pause_reading"]
    one.connection_made(late)
    assert late.done == [b"early"]
    assert early.done == ["pause_reading", "resume_reading"]
    two.eof_received()
    assert late.done == [b"early", "write_eof"]
    assert isinstance(one, Splice)


async def test_two_sockets_are_closed_when_both_ends_have_ended() -> None:
    one, two = splice()
    pairs = [socket.socketpair(), socket.socketpair()]
    for side, (near, _) in zip((one, two), pairs, strict=True):
        await asyncio.get_running_loop().create_connection(lambda side=side: side, sock=near)
    (reader, writer), (other_reader, other_writer) = [await asyncio.open_connection(sock=far) for _, far in pairs]
    writer.write(b"question")
    writer.write_eof()
    assert await other_reader.read() == b"question"
    other_writer.write(b"answer")
    other_writer.close()
    assert await reader.read() == b"answer"
    writer.close()
    await settle()
    assert one.over
    assert two.over
