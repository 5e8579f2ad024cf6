"""How much of the memory of one end the streams of a conversation may have together, however many they are.

A stream alone gets a whole window. Each further one gets less of what is left, and never less than the first window,
with which all begin: with thousands of them, each is slow, and none stands still.
"""

from __future__ import annotations

FIRST_WINDOW = 64 * 1024
"""Bytes that each stream may have on its way before the receiver has said anything; the same at both ends."""

BUDGET = 256 * 1024 * 1024
"""Bytes of all streams together, beyond the first window of each; for either direction."""

SHARE = 8
"""A stream gets at most this part of what is left, so that the first ones leave something to those after them."""


class Budget:
    """What the streams of one direction have, and may have.

    Args:
        window: Bytes that one stream may have at the most.
        total: Bytes of all together, beyond the first window of each.
    """

    def __init__(self, window: int, total: int = BUDGET) -> None:
        self.window = window
        self.first = min(window, FIRST_WINDOW)
        self._total = total
        self.used = 0

    def grant(self, has: int) -> int:
        """Give a stream more, if there is more to give, and say how much it has then.

        Args:
            has: How much it has already.
        """
        granted = min(self.window, max(has, self.first + (self._total - self.used) // SHARE))
        self.used += granted - has
        return granted

    def is_spent(self, has: int) -> bool:
        """Say whether a stream that has so much shall not take any more, of what all have taken by themselves."""
        return has >= self.window or (has >= self.first and self.used >= self._total)
