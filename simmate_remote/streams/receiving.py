"""The receiving half of a stream: any order in, the right order out, and never more than was granted."""

from __future__ import annotations

from bisect import bisect

from simmate_remote.errors import ProtocolError
from simmate_remote.streams.budget import Budget

MAX_PIECES_AHEAD = 4096


class ReceivingHalf:
    """Bytes on their way from the other end.

    Args:
        budget: What all streams of this direction may have.

    Attributes:
        window: Bytes that the other end may send beyond what the application has taken.
    """

    def __init__(self, budget: Budget) -> None:
        self.window = budget.first
        self._budget = budget
        self.received = 0
        self.consumed = 0
        self.end: int | None = None
        self.told_received = 0
        self.told_credit = budget.first
        self._ahead: dict[int, memoryview] = {}  # pieces that have no byte in common, by where they start
        self._starts: list[int] = []  # of these, in order

    @property
    def credit(self) -> int:
        """The offset up to which the other end may send."""
        return self.consumed + self.window

    @property
    def done(self) -> bool:
        """Whether the end has been reached, with nothing missing before it."""
        return self.end is not None and self.received == self.end + 1

    @property
    def owes_acknowledgement(self) -> bool:
        """Whether so much has come, or was taken, since the last word that another is due."""
        return (
            self.received - self.told_received >= self.window // 16
            or self.credit - self.told_credit >= self.window // 4
            or (self.done and self.told_received < self.received)
        )

    def widen(self) -> None:
        """Let the other end send more at once, if it has shown that it wants to, and there is room."""
        if self.window < self._budget.window and self.received > self._budget.first // 4:
            self.window = self._budget.grant(self.window)

    def discard(self) -> None:
        """Give back what it had of the budget: the stream is over."""
        self._budget.used -= self.window - self._budget.first
        self.window = self._budget.first

    def receive(self, offset: int, data: memoryview | bytes) -> list[memoryview]:
        """Take bytes from a carrier and give those that are now in order.

        Raises:
            ProtocolError: The bytes exceed the credit, lie behind the end, or come in too many pieces.
        """
        end = offset + len(data)
        if end > self.credit:
            raise ProtocolError(f"bytes up to {end} were sent, and {self.credit} was the credit")
        if self.end is not None and end > self.end:
            raise ProtocolError(f"bytes up to {end} were sent behind the end at {self.end}")
        if end <= self.received:
            return []
        view = memoryview(data)
        if offset > self.received:
            self._put_ahead(offset, view)
            return []
        ordered = [view[self.received - offset :]]
        self.received = end
        if self._ahead:
            ordered += self._close_gaps()
        self._reach_end()
        return ordered

    def finish(self, offset: int) -> None:
        """Learn where the stream ends.

        Raises:
            ProtocolError: The end moved, or bytes behind it came before.
        """
        furthest = max(self.received, self._end_of(self._starts[-1]) if self._starts else 0)
        if (self.end is None and offset < furthest) or (self.end is not None and offset != self.end):
            raise ProtocolError(f"the end of the stream is said to be at {offset}, which cannot be")
        self.end = offset
        self._reach_end()

    def _put_ahead(self, offset: int, view: memoryview) -> None:
        """Keep what comes before its time; of bytes that are here already, one copy: so a window bounds them all."""
        place = bisect(self._starts, offset)
        if place:
            view = view[max(0, self._end_of(self._starts[place - 1]) - offset) :]
            offset = max(offset, self._end_of(self._starts[place - 1]))
        covered = place
        while covered < len(self._starts) and self._end_of(self._starts[covered]) <= offset + len(view):
            del self._ahead[self._starts[covered]]
            covered += 1
        del self._starts[place:covered]
        if place < len(self._starts):
            view = view[: max(0, self._starts[place] - offset)]
        if not view:
            return
        if len(self._starts) == MAX_PIECES_AHEAD:
            raise ProtocolError("more pieces came out of order than any loss of a carrier explains")
        self._starts.insert(place, offset)
        # A copy: a view would keep alive all that the carrier delivered together with it.
        self._ahead[offset] = memoryview(bytes(view))

    def _end_of(self, start: int) -> int:
        return start + len(self._ahead[start])

    def _close_gaps(self) -> list[memoryview]:
        ordered = []
        reached = 0
        while reached < len(self._starts) and self._starts[reached] <= self.received:
            start = self._starts[reached]
            piece = self._ahead.pop(start)
            if start + len(piece) > self.received:
                ordered.append(piece[self.received - start :])
                self.received = start + len(piece)
            reached += 1
        del self._starts[:reached]
        return ordered

    def _reach_end(self) -> None:
        if self.received == self.end:
            self.received += 1
