"""Two conversations in one process, and real sockets as the carriers between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from simmate_remote.errors import StreamResetError
from simmate_remote.streams.carrier import FarCarrier, NearCarrier
from simmate_remote.streams.conversation import Acceptor, Conversation
from simmate_remote.streams.keepalive import Keepalive

PATIENCE = 20.0
WINDOW = 256 * 1024


class Recorder(asyncio.Protocol):
    """Notes everything that it is told."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.connected = asyncio.Event()
        self.paused = asyncio.Event()
        self.resumed = asyncio.Event()
        self.news = asyncio.Event()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.connected.set()

    def data_received(self, data: bytes) -> None:
        assert not self.lost.done(), "bytes came after the end of the connection"
        self.received += data
        self.news.set()

    def eof_received(self) -> bool:
        self.ended.set()
        return True

    def pause_writing(self) -> None:
        self.resumed.clear()
        self.paused.set()

    def resume_writing(self) -> None:
        self.paused.clear()
        self.resumed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def wait_for_bytes(self, size: int) -> None:
        while len(self.received) < size:
            self.news.clear()
            await self.news.wait()


class Echo(asyncio.Protocol):
    """Sends back what comes, with back pressure, and ends when the other side ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class Pair:
    """Both ends of a conversation.

    Args:
        accept: What the far end offers; default: ``echo``, and ``record``, which is noted in ``recorders``.
        window: Bytes of one stream that may be on their way.
    """

    def __init__(self, accept: Acceptor | None = None, window: int = WINDOW) -> None:
        self.recorders: asyncio.Queue[Recorder] = asyncio.Queue()
        self.near = Conversation(first=True, window=window)
        self.far = Conversation(first=False, token=self.near.token, accept=accept or self._accept, window=window)
        self.carriers: list[tuple[NearCarrier, FarCarrier]] = []

    async def _accept(self, target: str) -> asyncio.Protocol:
        if target == "echo":
            return Echo()
        if target == "record":
            recorder = Recorder()
            self.recorders.put_nowait(recorder)
            return recorder
        raise StreamResetError(f"nothing here is called {target!r}")

    def _find(self, token: str) -> Conversation | None:
        return self.far if self.far.begun or self.far.ended else None

    def _begin(self, token: str, owner: str) -> Conversation:
        return self.far

    async def attach(self, keepalive: Keepalive | None = None) -> tuple[NearCarrier, FarCarrier]:
        """Add a carrier and wait until both ends have agreed."""
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        _, far = await loop.connect_accepted_socket(lambda: FarCarrier(self._find, self._begin, dict), theirs)
        _, near = await loop.create_unix_connection(lambda: NearCarrier(self.near, keepalive or Keepalive()), sock=ours)
        await asyncio.wait_for(near.joined, PATIENCE)
        self.carriers.append((near, far))
        return near, far


@contextlib.asynccontextmanager
async def joined(accept: Acceptor | None = None, window: int = WINDOW) -> AsyncIterator[Pair]:
    """Give two conversations with one carrier between them; at the end nothing is left open."""
    pair = Pair(accept, window)
    await pair.attach()
    try:
        async with asyncio.timeout(PATIENCE):
            yield pair
    finally:
        for conversation in (pair.near, pair.far):
            conversation.close("the test is over")
        await settle()


async def settle() -> None:
    """Let callbacks that are due run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds; the limit is the one around it."""
    while True:
        if condition():
            return
        await asyncio.sleep(0)
