"""A conversation: the multiplexer on asyncio. Carriers come and go underneath; on top, each stream is a transport.

A stream is used like any asyncio connection: :meth:`Conversation.open` gives a transport and a protocol. While no
carrier is there, streams are merely slow.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TypeVar

from simmate_remote.errors import ProtocolError, StreamResetError
from simmate_remote.streams import events
from simmate_remote.streams.multiplexer import WINDOW, Multiplexer
from simmate_remote.streams.transport import StreamTransport

logger = logging.getLogger(__name__)
ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)
BATCH = 256 * 1024
AT_ITS_HEELS = 50e-6
"""Seconds between two writes of one turn of the event loop; asking the loop for the end of a turn would cost a turn."""

Acceptor = Callable[[str], Awaitable[asyncio.Protocol]]
"""Gives the protocol for a stream that the other end opens to a target, or raises ``StreamResetError`` to refuse it."""


async def refuse_all(target: str) -> asyncio.Protocol:
    """Refuse every stream: what a side does that offers nothing."""
    raise StreamResetError(f"nothing here is called {target!r}")


class Conversation:
    """One end of everything that two processes say to each other, over any number of carriers, one after the other.

    Args:
        first: Whether this is the near end (which opens the odd streams).
        accept: Decides about the streams that the other end opens.
        token: The secret that joins carriers to this conversation; default: a new one.
        owner: Whose conversation it is, in words that mean something to the near end alone.
        window: Bytes of one stream that may be on their way unacknowledged.

    Attributes:
        window: The same as above.
        begun: Whether a carrier has ever joined, so that there is something to resume.
    """

    def __init__(
        self,
        *,
        first: bool,
        accept: Acceptor = refuse_all,
        token: str | None = None,
        owner: str = "",
        window: int = WINDOW,
    ) -> None:
        self.token = token or os.urandom(32).hex()
        self.owner = owner
        self.begun = False
        self.carriers_changed: Callable[[], None] = lambda: None
        self.ended: str | None = None
        self.window = window
        self._accept = accept
        self._multiplexer = Multiplexer(first=first, window=window)
        self._loop = asyncio.get_running_loop()
        self._transports: dict[int, StreamTransport] = {}
        self._carriers: dict[int, CarrierEnd] = {}
        self._accepting: set[asyncio.Task[None]] = set()
        self._pump_scheduled = False
        self._receiving = False
        self._wrote = 0.0
        self._numbers = itertools.count(1)
        self._questions: dict[int, asyncio.Future[None]] = {}

    @property
    def carriers(self) -> list[int]:
        """The numbers of the carriers that are up."""
        return list(self._carriers)

    @property
    def silent(self) -> bool:
        """Whether every carrier that is up has left a question unanswered for a while."""
        return all(carrier.suspect for carrier in self._carriers.values())

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._transports)

    def next_carrier_number(self) -> int:
        """Give the number of the next carrier that this end will make."""
        return next(self._numbers)

    def open(self, target: str, protocol_factory: Callable[[], ProtocolT]) -> tuple[StreamTransport, ProtocolT]:
        """Open a stream to what the other end knows as ``target``; bytes can be written at once.

        Raises:
            StreamResetError: The conversation has ended.
            ProtocolError: Too many streams are open.
        """
        if self.ended is not None:
            raise StreamResetError(f"no stream to {target!r} can be opened: {self.ended}")
        number = self._multiplexer.open(target)
        transport, protocol = self._add(number, target, protocol_factory())
        self.pump()
        return transport, protocol

    async def open_reader_writer(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream and give it in the form of asyncio's streams."""
        reader = asyncio.StreamReader()
        transport, protocol = self.open(target, lambda: asyncio.StreamReaderProtocol(reader))
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    def close(self, reason: str) -> None:
        """End every stream and every carrier here; the other end is not told."""
        if self.ended is None:
            self.ended = reason
        for task in self._accepting:
            task.cancel()
        for carrier in list(self._carriers.values()):
            carrier.abort()
        for number in list(self._transports):
            transport = self._transports.pop(number)
            with _OnItsOwn(transport):
                transport.deliver_lost(StreamResetError(reason))

    # For carriers

    def attach(self, number: int, carrier: CarrierEnd) -> None:
        """Add a carrier on which the handshake is done."""
        self.begun = True
        self._carriers[number] = carrier
        self._multiplexer.attach(number)
        self.pump()
        self.carriers_changed()

    def keep_only(self, numbers: Iterable[int]) -> None:
        """Drop the carriers that the other end no longer counts among the living."""
        for number in set(self._carriers) - set(numbers):
            self._carriers[number].abort()
            self.lose(number)

    def lose(self, number: int) -> None:
        """Learn that a carrier is gone."""
        if self._carriers.pop(number, None) is not None:
            self._multiplexer.lose(number)
            self.pump()
            self.carriers_changed()

    def receive(self, number: int, data: bytes) -> None:
        """Take bytes from a carrier; a breach of the protocol ends the conversation."""
        self._receiving = True
        try:
            for event in self._multiplexer.receive(number, data):
                self._dispatch(event)
                if self.ended is not None:
                    return
        except ProtocolError as error:
            logger.warning("the conversation ends: %s", error.what)
            self.close(error.what)
            return
        finally:
            self._receiving = False
        self._pump()

    def ping(self, number: int) -> None:
        """Ask whether the other end still answers on a carrier."""
        if number in self._carriers:
            self._multiplexer.ping(number, 0)
            self.pump()

    async def round_trip(self) -> float:
        """Measure how many seconds a question and its answer take; without any carrier there is no answer."""
        question = self._loop.create_future()
        number = next(self._numbers)
        self._questions[number] = question
        asked = self._loop.time()
        try:
            for carrier in self._carriers:
                self._multiplexer.ping(carrier, number)
            self.pump()
            await question
        finally:
            del self._questions[number]
        return self._loop.time() - asked

    def pump(self) -> None:
        """Give the carriers what is to be sent, once this turn of the event loop has said all it has to say."""
        if not self._pump_scheduled and not self._receiving and self._carriers:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump_later)

    def _pump_later(self) -> None:
        self._pump_scheduled = False
        self._pump()

    def _pump(self) -> None:
        for number, carrier in list(self._carriers.items()):
            while not carrier.full and (frames := self._multiplexer.next_frames(number, BATCH)):
                carrier.send(frames)

    # For streams

    def write(self, number: int, data: bytes | memoryview) -> bool:
        """Send bytes of a stream, and say whether there is room for more."""
        room = self._multiplexer.write(number, data)
        if not self._pump_scheduled and not self._receiving:
            # A write that stands alone is on its way at once; those that follow at its heels travel together.
            now = self._loop.time()
            if now - self._wrote > AT_ITS_HEELS:
                self._pump()
            else:
                self.pump()
            self._wrote = now
        return room

    def finish(self, number: int) -> None:
        """Send the end of a stream."""
        self._multiplexer.finish(number)
        self.pump()

    def delivered(self, number: int) -> bool:
        """Say whether the other end has all that was written to a stream, its end included."""
        return self._multiplexer.delivered(number)

    def reset(self, number: int, reason: str) -> None:
        """End a stream at once."""
        self._multiplexer.reset(number, reason)
        self._transports.pop(number, None)
        self.pump()

    def consume(self, number: int, size: int) -> None:
        """Give the other end credit for bytes that were taken."""
        self._multiplexer.consume(number, size)
        self.pump()

    # Inside

    def _add(self, number: int, target: str, protocol: ProtocolT) -> tuple[StreamTransport, ProtocolT]:
        transport = StreamTransport(self, number, target, protocol)
        self._transports[number] = transport
        protocol.connection_made(transport)
        return transport, protocol

    def _dispatch(self, event: events.Event) -> None:
        if isinstance(event, events.Opened):
            task = self._loop.create_task(self._accept_stream(event.stream, event.target))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)
            self._transports[event.stream] = StreamTransport(self, event.stream, event.target, None)
        elif isinstance(event, events.Pong):
            # A carrier's own question was answered by whatever came; only those of round_trip() are asked by number.
            if (question := self._questions.get(event.nonce)) is not None and not question.done():
                question.set_result(None)
        elif (transport := self._transports.get(event.stream)) is None:
            if isinstance(event, events.Received):
                self._multiplexer.consume(event.stream, len(event.data))
        else:
            with _OnItsOwn(transport):
                self._tell(transport, event)

    def _tell(
        self, transport: StreamTransport, event: events.Received | events.Ended | events.Writable | events.Closed
    ) -> None:
        if isinstance(event, events.Received):
            transport.deliver(event.data)
        elif isinstance(event, events.Ended):
            transport.deliver_end()
        elif isinstance(event, events.Writable):
            transport.deliver_writable()
        else:
            del self._transports[event.stream]
            transport.deliver_lost(None if event.reason is None else StreamResetError(event.reason))

    async def _accept_stream(self, number: int, target: str) -> None:
        transport = self._transports.get(number)
        if transport is None:
            return  # the other end gave up in the same breath
        try:
            protocol = await self._accept(target)
        except StreamResetError as error:
            self.reset(number, error.what)
            return
        except Exception as error:
            logger.exception("the stream to %r cannot be accepted", target)
            self.reset(number, f"the target {target!r} failed: {type(error).__name__}: {error}")
            return
        if number in self._transports:
            self._multiplexer.accept(number)
            with _OnItsOwn(transport):
                transport.begin(protocol)
            self.pump()
        else:
            # The other end gave up while the target was being opened.
            protocol.connection_made(transport)
            protocol.connection_lost(StreamResetError("the stream ended before it began"))


class _OnItsOwn:
    """As asyncio does with a socket: a protocol that fails loses its own connection, and no other.

    A class, because a generator as context manager takes three times as long, and this is entered for every piece.
    """

    __slots__ = ("_transport",)

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        target = self._transport.get_extra_info("target")
        logger.error("the stream to %r is broken off", target, exc_info=error)
        self._transport.abort()
        return True


class CarrierEnd:
    """What a conversation needs of a carrier; both ends in :mod:`simmate_remote.streams.carrier` have it.

    Attributes:
        full: Whether no more should be sent at the moment.
        suspect: Whether a question has been unanswered for a while.
    """

    full: bool
    suspect: bool

    def send(self, frames: list[bytes | memoryview]) -> None:
        """Write frames to the carrier."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the carrier at once."""
        raise NotImplementedError
