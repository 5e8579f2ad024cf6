"""A stream of a conversation, in the form that asyncio gives to connections."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from simmate_remote.streams.conversation import Conversation


SMALL = 4096
"""Bytes below which pieces that wait are joined: each of them alone would need a few hundred bytes more."""


class StreamTransport(asyncio.Transport):
    """A stream, as asyncio sees a connection."""

    def __init__(self, conversation: Conversation, number: int, target: str, protocol: asyncio.Protocol | None) -> None:
        super().__init__({"target": target, "conversation": conversation})
        self._conversation = conversation
        self._number = number
        self._protocol = protocol
        self._reading = protocol is not None
        self._waiting: deque[memoryview | bytearray] = deque()
        self._end_waiting = False
        self._finished = False
        self._closing = False
        self._full = False
        self._over = False
        self._lost: tuple[Exception | None] | None = None
        self._dropped = 0

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
        """Send what was written and the end; what still comes is dropped, and an end to it is put after a window."""
        self._closing = True
        self.write_eof()
        self.resume_reading()

    def abort(self) -> None:
        """End the stream at once; what waits to be read is dropped."""
        if self._over and self._lost is None:
            return
        if not self._over:
            self._over = True
            self._conversation.reset(self._number, "the connection was broken off")
        self._drop_waiting()
        if self._protocol is not None:
            # Not at once: whoever calls this does not expect to be told before it returns.
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def pause_reading(self) -> None:
        """Stop the arrival of bytes; the other end will be stopped when its credit is used up."""
        self._reading = False

    def resume_reading(self) -> None:
        """Let bytes arrive again."""
        if self._reading or self._protocol is None:
            return
        self._reading = True
        while self._waiting and self._reading:
            piece = self._waiting.popleft()
            self._hand_over(piece if isinstance(piece, memoryview) else memoryview(bytes(piece)))
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
        elif len(data) >= SMALL and 2 * len(data) >= len(cast(bytes, data.obj)):
            self._waiting.append(data)
        else:
            # A copy: a view would keep alive all that the carrier delivered together with it.
            last = self._waiting[-1] if self._waiting else None
            if isinstance(last, bytearray) and len(last) < SMALL:
                last += data
            else:
                self._waiting.append(bytearray(data))

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
        else:
            self._dropped += len(data)
            if self._dropped > self._conversation.window and self._conversation.delivered(self._number):
                # No longer what was on its way when the end was sent: the other side would go on for ever.
                self.abort()
                return
        self._conversation.consume(self._number, len(data))

    def _hand_over_end(self) -> None:
        assert self._protocol is not None
        if not self._closing and not self._protocol.eof_received():
            self.close()

    def _hand_over_lost(self, error: Exception | None) -> None:
        self._drop_waiting()
        assert self._protocol is not None
        self._protocol.connection_lost(error)

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._end_waiting = False
        self._lost = None


def _is_immutable(data: bytes | bytearray | memoryview[Any]) -> bool:
    if isinstance(data, memoryview):
        return isinstance(data.obj, bytes) and data.format == "B" and data.ndim == 1 and data.contiguous
    return isinstance(data, bytes)
