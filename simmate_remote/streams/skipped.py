"""The numbers that the other end left out when it opened streams, and may still open late."""

from __future__ import annotations

import bisect

STEP = 2
"""Each end opens every second number."""


class SkippedNumbers:
    """Runs of numbers, each number at most once; of too many runs the oldest are forgotten.

    Runs, because a hostile end leaves out a billion numbers with one frame.

    Args:
        limit: Runs that are remembered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._runs: list[range] = []  # in ascending order

    def __contains__(self, number: int) -> bool:
        return number in self._run(number)[1]

    def __len__(self) -> int:
        """Count the runs, which are what memory is needed for."""
        return len(self._runs)

    def add(self, run: range) -> None:
        """Remember numbers that are higher than all before, with a step of 2."""
        if run:
            self._runs.append(run)
            del self._runs[: -self._limit]

    def take(self, number: int) -> bool:
        """Forget a number, and say whether it was there."""
        place, run = self._run(number)
        if number not in run:
            return False
        parts = (range(run.start, number, STEP), range(number + STEP, run.stop, STEP))
        self._runs[place : place + 1] = [part for part in parts if part]
        del self._runs[: -self._limit]
        return True

    def _run(self, number: int) -> tuple[int, range]:
        """Find the one run in which a number could be."""
        place = bisect.bisect_right(self._runs, number, key=lambda run: run.start) - 1
        return place, self._runs[place] if place >= 0 else range(0)
