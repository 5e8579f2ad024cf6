"""The sending half of a stream: bytes are numbered, kept until they are acknowledged, and sent again when need be."""

from __future__ import annotations

from collections import deque

from simmate_remote.errors import ProtocolError
from simmate_remote.streams.budget import Budget


class SendingHalf:
    """Bytes on their way to the other end.

    Offsets count the stream's bytes from 0; the end of the stream has the offset after the last byte and takes one
    number itself, so that its acknowledgement can be told from that of the last byte.

    Args:
        budget: What all streams of this direction keep; the first window of it is the first credit.

    Attributes:
        asks: Whether the other end shall say what has arrived, although it would not by itself.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.written = 0
        self.sent = 0
        self.acknowledged = 0
        self.credit = budget.first
        self.finished = False
        self.end_sent = False
        self.asks = False
        self._chunks: deque[memoryview] = deque()
        self._first = 0  # offset of the first byte of the first chunk
        self._next = 0  # index of the chunk that holds offset `sent`
        self._next_start = 0  # offset of that chunk's first byte

    @property
    def kept(self) -> int:
        """Bytes that are kept because the other end has not acknowledged them."""
        return self.written - min(self.acknowledged, self.written)

    @property
    def done(self) -> bool:
        """Whether the other end has acknowledged everything, the end included."""
        return self.finished and self.acknowledged == self.written + 1

    @property
    def has_something_to_send(self) -> bool:
        """Whether a frame could be sent now."""
        if self.sent < self.written:
            return self.sent < self.credit
        return (self.finished and not self.end_sent) or (self.asks and self.kept > 0)

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes over from the application; they must not change afterwards."""
        self._chunks.append(memoryview(data))
        self.written += len(data)
        self._budget.used += len(data)

    def next_piece(self, limit: int) -> tuple[int, memoryview] | None:
        """Give the next bytes that may travel, at most ``limit`` of them, with their offset, and count them as sent."""
        if self.sent >= self.written:
            return self._question()
        room = min(limit, self.credit - self.sent)
        if room <= 0:
            return None
        chunk = self._chunks[self._next]
        start = self.sent - self._next_start
        piece = chunk[start : start + room]
        offset = self.sent
        self.sent += len(piece)
        if start + len(piece) == len(chunk):
            self._next += 1
            self._next_start += len(chunk)
        return offset, piece

    def _question(self) -> tuple[int, memoryview] | None:
        """Give the last byte once more, if it shall be asked what has arrived: what comes twice is answered."""
        if not (self.asks and self.kept):
            return None
        self.asks = False
        return self.written - 1, self._chunks[-1][-1:]

    def acknowledge(self, offset: int, credit: int) -> None:
        """Forget what the other end has received.

        Args:
            offset: The first number that the other end has not received.
            credit: The offset up to which it takes bytes from now on.

        Raises:
            ProtocolError: The other end acknowledges what was never sent.
        """
        if offset > self.written + (1 if self.finished else 0):
            raise ProtocolError(f"byte {offset} is acknowledged, and only {self.written} were ever written")
        self.credit = max(self.credit, credit)
        if offset <= self.acknowledged:
            return
        kept = self.kept
        self.acknowledged = offset
        self._budget.used -= kept - self.kept
        while self._chunks and self._first + len(self._chunks[0]) <= offset:
            self._first += len(self._chunks.popleft())
            self._next -= 1
        if self._next < 0 or self.sent < min(offset, self.written):
            # What was to be sent again has arrived after all, on the carrier that was lost.
            self._seek(min(offset, self.written))
        if offset > self.written:
            self.end_sent = True

    def rewind(self) -> None:
        """Count everything that is not acknowledged as not yet sent: a carrier was lost, and with it any of these."""
        self._seek(min(self.acknowledged, self.written))
        self.end_sent = self.done

    def discard(self) -> None:
        """Drop everything: the stream is over."""
        self._budget.used -= self.kept
        self._chunks.clear()
        self.sent = self.acknowledged = self.written
        self._first = self._next_start = self.written
        self._next = 0

    def _seek(self, offset: int) -> None:
        self.sent = offset
        self._next, self._next_start = 0, self._first
        while self._next < len(self._chunks) and self._next_start + len(self._chunks[self._next]) <= offset:
            self._next_start += len(self._chunks[self._next])
            self._next += 1
