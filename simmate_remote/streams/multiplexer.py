"""The protocol's state: many streams over one or more carriers that may be lost at any byte. No input, no output.

Both ends run the same code. What is received goes in through :meth:`Multiplexer.receive`, what is to be sent comes out
of :meth:`Multiplexer.next_frames`, and what the application must know comes back as events.
"""

from __future__ import annotations

import struct
from collections import deque

from simmate_remote.errors import ProtocolError
from simmate_remote.streams.budget import BUDGET, Budget
from simmate_remote.streams.events import Closed, Ended, Event, Opened, Pong, Received, Writable
from simmate_remote.streams.frames import MAX_DATA_PAYLOAD, MAX_STREAM, Frame, Kind, encode, encode_data_header
from simmate_remote.streams.multiplexed import CarrierState, StreamState
from simmate_remote.streams.receiving import ReceivingHalf
from simmate_remote.streams.sending import SendingHalf
from simmate_remote.streams.skipped import SkippedNumbers

WINDOW = 16 * 1024 * 1024
"""Bytes of one stream that may be on their way; both ends use the same: 320 MB/s at a round trip of 50 ms."""

MAX_PIECE = 64 * 1024
"""Bytes of one DATA frame, so that a short message waits for no more than this of a long one."""

MAX_STREAMS = 4096
MAX_SKIPPED = 4096
MAX_TARGET = 1024
CREDIT = struct.Struct("!Q")


class Multiplexer:
    """One end of a conversation.

    Args:
        first: Whether this end opens the odd streams (the near end does), or the even ones.
        window: Bytes of one stream that may be on their way unacknowledged; the same at both ends.
        budget: Bytes of all streams together, beyond the first window of each, that are kept here for each direction.
    """

    def __init__(self, *, first: bool, window: int = WINDOW, budget: int = BUDGET) -> None:
        self._window = window
        self._outgoing = Budget(window, budget)
        self._incoming = Budget(window, budget)
        self._next_number = 1 if first else 2
        self._peer_highest = 0 if first else -1
        self._peer_skipped = SkippedNumbers(MAX_SKIPPED)
        self._streams: dict[int, StreamState] = {}
        self._turn: deque[int] = deque()
        self._carriers: dict[int, CarrierState] = {}
        self._frames: deque[bytes] = deque()

    # Carriers

    @property
    def carriers(self) -> list[int]:
        """The numbers of the carriers that are attached."""
        return list(self._carriers)

    def attach(self, carrier: int) -> None:
        """Add a carrier on which the handshake is done.

        Both ends first say, for each stream, how far they have come, and then that they are ready.
        """
        state = CarrierState()
        self._carriers[carrier] = state
        for stream in self._streams.values():
            if stream.known_there and stream.reset_reason is None:
                state.frames.append(self._acknowledgement(stream))
        state.frames.append(encode(Kind.READY))

    def lose(self, carrier: int) -> None:
        """Remove a carrier; what may have been lost with it will be sent again."""
        if self._carriers.pop(carrier, None) is None:
            return
        for stream in self._streams.values():
            stream.sending.rewind()
            stream.sending.asks = stream.full
            stream.reset_sent = False
            if stream.known_there:
                stream.acknowledge = True
            else:
                stream.open_sent = False
                stream.opened_on = None
            self._queue(stream)

    def ping(self, carrier: int, nonce: int) -> None:
        """Ask whether the other end still answers on a carrier."""
        self._carriers[carrier].frames.append(encode(Kind.PING, offset=nonce))

    # Streams, as the application uses them

    def open(self, target: str) -> int:
        """Open a stream to a target that the other end knows by this name, and give the stream's number."""
        if len(target.encode()) > MAX_TARGET:
            raise ValueError(f"the name of a target may have {MAX_TARGET} bytes")
        number = self._next_number
        if number > MAX_STREAM or len(self._streams) >= MAX_STREAMS:
            raise ProtocolError("too many streams are open in one conversation")
        self._next_number += 2
        stream = self._add(number, target, ours=True)
        self._queue(stream)
        return number

    def accept(self, number: int) -> None:
        """Let a stream that the other end opened begin."""
        stream = self._streams[number]
        stream.acknowledge = True
        self._queue(stream)

    def write(self, number: int, data: bytes | memoryview) -> bool:
        """Send bytes, and say whether there is room for more; ``Writable`` tells when there is again."""
        stream = self._streams[number]
        if data:
            stream.sending.write(data)
            self._queue(stream)
        if self._outgoing.is_spent(stream.sending.kept):
            stream.full = True
            # Not full by itself: the other end may not think that so little is worth a word.
            stream.sending.asks = stream.sending.kept < self._window
        return not stream.full

    def finish(self, number: int) -> None:
        """Send the end of the stream behind all that was written."""
        stream = self._streams[number]
        stream.sending.finished = True
        self._queue(stream)

    def delivered(self, number: int) -> bool:
        """Say whether the other end has acknowledged all that was written to a stream, its end included."""
        stream = self._streams.get(number)
        return stream is None or stream.sending.done

    def consume(self, number: int, size: int) -> None:
        """Say that the application took so many bytes, which gives the other end credit for as many."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.receiving.consumed += size
            if stream.receiving.owes_acknowledgement:
                stream.acknowledge = True
                self._queue(stream)

    def reset(self, number: int, reason: str) -> None:
        """End a stream at once in both directions; the other end learns the reason."""
        stream = self._streams.get(number)
        if stream is not None and stream.reset_reason is None:
            stream.reset_reason = reason
            stream.sending.discard()
            stream.receiving.discard()
            if stream.ours and not stream.open_sent:
                del self._streams[number]
            else:
                self._queue(stream)

    # Bytes, as the carriers bring and take them

    def receive(self, carrier: int, data: bytes) -> list[Event]:
        """Take what a carrier brought.

        Raises:
            ProtocolError: The other end broke the rules; the conversation cannot go on.
        """
        state = self._carriers.get(carrier)
        if state is None:
            return []
        events: list[Event] = []
        for frame in state.reader.read(data):
            self._handle(carrier, state, frame, events)
        return events

    def next_frames(self, carrier: int, size: int) -> list[bytes | memoryview]:
        """Give what a carrier shall send next: about ``size`` bytes at the most, nothing if there is nothing."""
        state = self._carriers.get(carrier)
        if state is None or not (self._turn or self._frames or state.frames):
            return []
        out: list[bytes | memoryview] = []
        while state.frames:
            out.append(state.frames.popleft())
        if not state.ready:
            return out
        while self._frames:
            out.append(self._frames.popleft())
        filled = 0
        skipped = 0
        while self._turn and filled < size and skipped < len(self._turn):
            number = self._turn.popleft()
            stream = self._streams.get(number)
            if stream is None:
                continue
            if stream.opened_on is not None and stream.opened_on != carrier and not stream.known_there:
                self._turn.append(number)
                skipped += 1
                continue
            stream.queued = False
            filled += self._send(stream, carrier, out)
            self._queue(stream)
        return out

    # Inside

    def _add(self, number: int, target: str, *, ours: bool) -> StreamState:
        stream = StreamState(
            number, target, ours, SendingHalf(self._outgoing), ReceivingHalf(self._incoming), known_there=not ours
        )
        self._streams[number] = stream
        return stream

    @staticmethod
    def _wants_turn(stream: StreamState) -> bool:
        if stream.reset_reason is not None:
            return not stream.reset_sent
        if stream.acknowledge or (stream.ours and not stream.open_sent):
            return True
        return stream.sending.has_something_to_send

    def _queue(self, stream: StreamState) -> None:
        if not stream.queued and self._wants_turn(stream):
            stream.queued = True
            self._turn.append(stream.number)

    def _acknowledgement(self, stream: StreamState) -> bytes:
        half = stream.receiving
        half.widen()
        half.told_received, half.told_credit = half.received, half.credit
        return encode(Kind.ACK, stream.number, half.received, CREDIT.pack(half.credit))

    def _send(self, stream: StreamState, carrier: int, out: list[bytes | memoryview]) -> int:
        if stream.ours and not stream.open_sent:
            out.append(encode(Kind.OPEN, stream.number, 0, stream.target.encode()))
            stream.open_sent = True
            stream.opened_on = carrier
        if stream.reset_reason is not None:
            out.append(encode(Kind.RESET, stream.number, 0, stream.reset_reason.encode()[:MAX_TARGET]))
            stream.reset_sent = True
            return 0
        if stream.acknowledge:
            out.append(self._acknowledgement(stream))
            stream.acknowledge = False
        size = 0
        sending = stream.sending
        # Nobody waits behind a stream that is alone, and larger pieces are less work at both ends.
        if (found := sending.next_piece(MAX_PIECE if self._turn else MAX_DATA_PAYLOAD)) is not None:
            offset, piece = found
            out.append(encode_data_header(stream.number, offset, len(piece)))
            out.append(piece)
            size = len(piece)
        if sending.finished and sending.sent == sending.written and not sending.end_sent:
            out.append(encode(Kind.FIN, stream.number, sending.written))
            sending.end_sent = True
        return size

    def _handle(self, carrier: int, state: CarrierState, frame: Frame, events: list[Event]) -> None:
        kind = frame.kind
        if kind is Kind.DATA and (stream := self._streams.get(frame.stream)) and stream.reset_reason is None:
            self._handle_data(stream, frame, events)
        elif kind is Kind.READY:
            state.ready = True
        elif kind is Kind.PING:
            if len(state.frames) > MAX_STREAMS:
                raise ProtocolError("the other end asks faster than it takes answers")
            state.frames.append(encode(Kind.PONG, offset=frame.offset))
        elif kind is Kind.PONG:
            events.append(Pong(carrier, frame.offset))
        elif kind is Kind.OPEN:
            self._handle_open(frame, events)
        elif kind in (Kind.HELLO, Kind.WELCOME, Kind.REFUSE):
            raise ProtocolError(f"a {kind.name} frame after the handshake")
        elif (stream := self._streams.get(frame.stream)) is None:
            self._handle_unknown(frame)
        elif stream.reset_reason is not None:
            if kind in (Kind.CLOSED, Kind.RESET):
                del self._streams[stream.number]
        elif kind is Kind.CLOSED:
            self._drop(stream, None if stream.receiving.done and stream.sending.finished else "gone", events)
        elif kind is Kind.RESET:
            self._say_closed(stream.number)
            self._drop(stream, bytes(frame.payload).decode(errors="replace") or "reset", events)
        else:
            self._handle_stream(stream, frame, events)

    def _handle_open(self, frame: Frame, events: list[Event]) -> None:
        number = frame.stream
        if number == 0 or number % 2 == self._next_number % 2:
            raise ProtocolError(f"the other end opened stream {number}, which is not one of its own")
        if number > self._peer_highest:
            # Streams that were given up before they travelled leave gaps for ever: the oldest are forgotten.
            self._peer_skipped.add(range(self._peer_highest + 2, number, 2))
            self._peer_highest = number
        elif not self._peer_skipped.take(number):
            # Sent again after the loss of a carrier, and it had arrived: say so.
            if (stream := self._streams.get(number)) is None:
                self._say_closed(number)
            elif stream.reset_reason is None:
                stream.acknowledge = True
                self._queue(stream)
            return
        if len(self._streams) >= MAX_STREAMS:
            raise ProtocolError(f"the other end opened more than {MAX_STREAMS} streams")
        try:
            target = bytes(frame.payload).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("the other end opened a stream to a target that is not text") from error
        if len(frame.payload) > MAX_TARGET:
            raise ProtocolError(f"the name of a target may have {MAX_TARGET} bytes")
        self._add(number, target, ours=False)
        events.append(Opened(number, target))

    def _say_closed(self, number: int) -> None:
        self._say(encode(Kind.CLOSED, number))

    def _say(self, frame: bytes) -> None:
        if len(self._frames) >= 4 * MAX_STREAMS:
            raise ProtocolError("the other end asks faster than it takes answers")
        self._frames.append(frame)

    def _handle_unknown(self, frame: Frame) -> None:
        ours = frame.stream % 2 == self._next_number % 2
        ever = frame.stream < self._next_number if ours else frame.stream <= self._peer_highest
        if frame.stream == 0 or not ever or frame.stream in self._peer_skipped:
            raise ProtocolError(f"a {frame.kind.name} frame for stream {frame.stream}, which was never opened")
        if frame.kind is not Kind.CLOSED and len(self._frames) < MAX_STREAMS:
            self._frames.append(encode(Kind.CLOSED, frame.stream))

    def _handle_stream(self, stream: StreamState, frame: Frame, events: list[Event]) -> None:
        receiving, sending = stream.receiving, stream.sending
        if frame.kind is Kind.ACK:
            if len(frame.payload) != CREDIT.size:
                raise ProtocolError("an ACK frame without a credit")
            (credit,) = CREDIT.unpack(frame.payload)
            if credit > frame.offset + self._window:
                raise ProtocolError("an ACK frame with more credit than the window allows")
            stream.known_there = True
            sending.acknowledge(frame.offset, credit)
            if stream.full and not self._outgoing.is_spent(2 * sending.kept):
                stream.full = sending.asks = False
                events.append(Writable(stream.number))
            elif stream.full:
                sending.asks = 2 * sending.kept < self._window
        elif frame.kind is Kind.FIN:
            receiving.finish(frame.offset)
            stream.acknowledge = True
        self._queue(stream)
        if receiving.done:
            self._handle_end(stream, events)

    def _handle_data(self, stream: StreamState, frame: Frame, events: list[Event]) -> None:
        receiving = stream.receiving
        pieces = receiving.receive(frame.offset, memoryview(frame.payload))
        events += [Received(stream.number, piece) for piece in pieces]
        # Nothing new: it was sent again, so the word that it had arrived was lost.
        if not pieces or receiving.owes_acknowledgement:
            stream.acknowledge = True
            self._queue(stream)
        if receiving.done:
            self._handle_end(stream, events)

    def _handle_end(self, stream: StreamState, events: list[Event]) -> None:
        if not stream.end_told:
            stream.end_told = True
            events.append(Ended(stream.number))
        if stream.sending.done:
            # The last acknowledgement must not wait for a turn that a closed stream does not get.
            self._say(self._acknowledgement(stream))
            self._drop(stream, None, events)

    def _drop(self, stream: StreamState, reason: str | None, events: list[Event]) -> None:
        del self._streams[stream.number]
        stream.sending.discard()
        stream.receiving.discard()
        events.append(Closed(stream.number, reason))
