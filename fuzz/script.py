"""A fuzzer's bytes, read as decisions: what a hostile end does next, and with which numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

ChoiceT = TypeVar("ChoiceT")


class Script:
    """Decisions, taken from the front of some bytes; when they are used up, every decision is the first one.

    Args:
        data: What the fuzzer made.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to decide by."""
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        """Give the next bytes as they are; fewer if there are no more."""
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def rest(self) -> bytes:
        """Give all that is left."""
        return self.take(len(self._data))

    def number(self, size: int = 1) -> int:
        """Give an unsigned number of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def choice(self, options: Sequence[ChoiceT]) -> ChoiceT:
        """Give one of some options."""
        return options[self.number() % len(options)]

    def near(self, options: Sequence[int], size: int) -> int:
        """Give one of some numbers that matter, or, for one byte in four, any number of ``size`` bytes."""
        which = self.number()
        return self.number(size) if which >= 192 else options[which % len(options)]
