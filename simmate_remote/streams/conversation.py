"""A conversation: the multiplexer on asyncio. Carriers come and go underneath; on top, each stream is a transport.

A stream is used like any asyncio connection: :meth:`Conversation.open` gives a transport and a protocol. While no
carrier is there, streams are merely slow.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

from simmate_remote.errors import ProtocolError, StreamResetError
from simmate_remote.streams import multiplexer as events
from simmate_remote.streams.multiplexer import WINDOW, Multiplexer

logger = logging.getLogger(__name__)
ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)
BATCH = 256 * 1024

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
        window: Bytes of one stream that may be on their way unacknowledged.
    """

    def __init__(
        self, *, first: bool, accept: Acceptor = refuse_all, token: str | None = None, window: int = WINDOW
    ) -> None:
        self.token = token or secrets.token_hex(32)
        self.carriers_changed: Callable[[], None] = lambda: None
        self._accept = accept
        self._multiplexer = Multiplexer(first=first, window=window)
        self._loop = asyncio.get_running_loop()
        self._transports: dict[int, StreamTransport] = {}
        self._carriers: dict[int, CarrierEnd] = {}
        self._accepting: set[asyncio.Task[None]] = set()
        self._pump_scheduled = False
        self._numbers = itertools.count(1)

    @property
    def carriers(self) -> list[int]:
        """The numbers of the carriers that are up."""
        return list(self._carriers)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._transports)

    def next_carrier_number(self) -> int:
        """Give the number of the next carrier that this end will make."""
        return next(self._numbers)

    def open(self, target: str, protocol_factory: Callable[[], ProtocolT]) -> tuple[StreamTransport, ProtocolT]:
        """Open a stream to what the other end knows as ``target``; bytes can be written at once."""
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
        for task in self._accepting:
            task.cancel()
        for carrier in list(self._carriers.values()):
            carrier.abort()
        for number in list(self._transports):
            self._transports.pop(number).deliver_lost(StreamResetError(reason))

    # For carriers

    def attach(self, number: int, carrier: CarrierEnd) -> None:
        """Add a carrier on which the handshake is done."""
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
        try:
            for event in self._multiplexer.receive(number, data):
                self._dispatch(event)
        except ProtocolError as error:
            logger.warning("the conversation ends: %s", error.what)
            self.close(error.what)
        else:
            self.pump()

    def ping(self, number: int) -> None:
        """Ask whether the other end still answers on a carrier."""
        if number in self._carriers:
            self._multiplexer.ping(number, 0)
            self.pump()

    def pump(self) -> None:
        """Give the carriers what is to be sent, once this turn of the event loop has said all it has to say."""
        if not self._pump_scheduled and self._carriers:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        for number, carrier in list(self._carriers.items()):
            while not carrier.full and (frames := self._multiplexer.next_frames(number, BATCH)):
                carrier.send(frames)

    # For streams

    def write(self, number: int, data: bytes | memoryview) -> bool:
        """Send bytes of a stream, and say whether there is room for more."""
        room = self._multiplexer.write(number, data)
        self.pump()
        return room

    def finish(self, number: int) -> None:
        """Send the end of a stream."""
        self._multiplexer.finish(number)
        self.pump()

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
            self._carriers[event.carrier].answered()
        elif (transport := self._transports.get(event.stream)) is None:
            if isinstance(event, events.Received):
                self._multiplexer.consume(event.stream, len(event.data))
        elif isinstance(event, events.Received):
            transport.deliver(event.data)
        elif isinstance(event, events.Ended):
            transport.deliver_end()
        elif isinstance(event, events.Writable):
            transport.deliver_writable()
        else:
            del self._transports[event.stream]
            transport.deliver_lost(None if event.reason is None else StreamResetError(event.reason))

    async def _accept_stream(self, number: int, target: str) -> None:
        transport = self._transports[number]
        try:
            protocol = await self._accept(target)
        except StreamResetError as error:
            self.reset(number, error.what)
            return
        if number in self._transports:
            self._multiplexer.accept(number)
            transport.begin(protocol)
            self.pump()
        else:
            # The other end gave up while the target was being opened.
            protocol.connection_made(transport)
            protocol.connection_lost(StreamResetError("the stream ended before it began"))


class StreamTransport(asyncio.Transport):
    """A stream, as asyncio sees a connection."""

    def __init__(self, conversation: Conversation, number: int, target: str, protocol: asyncio.Protocol | None) -> None:
        super().__init__({"target": target})
        self._conversation = conversation
        self._number = number
        self._protocol = protocol
        self._reading = protocol is not None
        self._waiting: deque[memoryview] = deque()
        self._end_waiting = False
        self._finished = False
        self._closing = False
        self._full = False
        self._over = False
        self._lost: tuple[Exception | None] | None = None

    # What the protocol's side uses

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes."""
        if self._finished or self._over:
            return
        immutable = cast(bytes, data) if _is_immutable(data) else bytes(data)
        if not self._conversation.write(self._number, immutable) and not self._full:
            self._full = True
            if self._protocol is not None:
                self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """Say that a stream can be half closed: it can."""
        return True

    def write_eof(self) -> None:
        """Send the end of this direction."""
        if not self._finished and not self._over:
            self._finished = True
            self._conversation.finish(self._number)

    def is_closing(self) -> bool:
        """Say whether the stream is over for the side that asks."""
        return self._closing or self._over

    def close(self) -> None:
        """Send what was written and the end; whatever still comes is dropped."""
        self._closing = True
        self.write_eof()
        self.resume_reading()

    def abort(self) -> None:
        """End the stream at once."""
        if not self._over:
            self._conversation.reset(self._number, "the connection was broken off")
            self.deliver_lost(None)

    def pause_reading(self) -> None:
        """Stop the arrival of bytes; the other end will be stopped when its credit is used up."""
        self._reading = False

    def resume_reading(self) -> None:
        """Let bytes arrive again."""
        if self._reading or self._protocol is None:
            return
        self._reading = True
        while self._waiting and self._reading:
            self._hand_over(self._waiting.popleft())
        if self._reading and self._end_waiting:
            self._end_waiting = False
            self._hand_over_end()
        if self._reading and self._lost is not None:
            self._hand_over_lost(self._lost[0])

    def is_reading(self) -> bool:
        """Say whether bytes may arrive."""
        return self._reading

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol that is told what arrives."""
        assert self._protocol is not None
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol be told."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_write_buffer_size(self) -> int:
        """Give 0: what is kept until it is acknowledged is no reason for the writer to wait."""
        return 0

    # What the conversation uses

    def begin(self, protocol: asyncio.Protocol) -> None:
        """Learn who is told about a stream that the other end opened."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.resume_reading()

    def deliver(self, data: memoryview) -> None:
        """Pass on bytes, or keep them while reading is paused."""
        if self._reading:
            self._hand_over(data)
        else:
            self._waiting.append(data)

    def deliver_end(self) -> None:
        """Pass on the end, behind the bytes that wait."""
        if self._reading and not self._waiting:
            self._hand_over_end()
        else:
            self._end_waiting = True

    def deliver_writable(self) -> None:
        """Pass on that there is room again."""
        if self._full:
            self._full = False
            if self._protocol is not None:
                self._protocol.resume_writing()

    def deliver_lost(self, error: Exception | None) -> None:
        """Pass on that the stream is over: behind what waits if it ended well, at once if not."""
        if self._over:
            return
        self._over = True
        if error is None and (self._waiting or self._end_waiting) and not self._closing:
            self._lost = (error,)
        elif self._protocol is not None:
            self._hand_over_lost(error)

    def _hand_over(self, data: memoryview) -> None:
        assert self._protocol is not None
        if not self._closing:
            # A view, where asyncio promises bytes: what receives it only ever passes it on or copies it.
            self._protocol.data_received(cast(bytes, data))
        self._conversation.consume(self._number, len(data))

    def _hand_over_end(self) -> None:
        assert self._protocol is not None
        if not self._closing and not self._protocol.eof_received():
            self.close()

    def _hand_over_lost(self, error: Exception | None) -> None:
        self._lost = None
        assert self._protocol is not None
        self._protocol.connection_lost(error)


def _is_immutable(data: bytes | bytearray | memoryview[Any]) -> bool:
    return isinstance(data, bytes) or (isinstance(data, memoryview) and isinstance(data.obj, bytes))


class CarrierEnd:
    """What a conversation needs of a carrier: :class:`simmate_remote.streams.carrier.CarrierProtocol` has it."""

    full: bool

    def send(self, frames: list[bytes | memoryview]) -> None:
        """Write frames to the carrier."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the carrier at once."""
        raise NotImplementedError

    def answered(self) -> None:
        """Learn that the other end answered a ping."""
        raise NotImplementedError
