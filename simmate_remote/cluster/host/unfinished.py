"""Count the unfinished tasks and tell the keeper, whose lease does not run out while there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

UNFINISHED = frozenset({"waiting", "queued", "processing", "no-worker"})
"""States of a task that has still to be computed; a result in memory is none of them."""

PACE = 2.0
"""Seconds between two messages at least, however many tasks there are."""


class TellUnfinished(SchedulerPlugin):  # type: ignore[misc]
    """Keeps count of tasks by two comparisons for each transition, and tells the counts when they have changed.

    The first change is told at once, those that follow once in a while.

    Args:
        tell: Called with the numbers ``unfinished``, ``finished`` and ``erred``, the latter two since the scheduler
            began; gives whether somebody listened.
    """

    name = "simmate-remote-unfinished"

    def __init__(self, tell: Callable[..., bool]) -> None:
        self._tell = tell
        self._unfinished = 0
        self._finished = 0
        self._erred = 0
        self._told = (0, 0, 0)
        self._waiting = False

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        was, is_now = start in UNFINISHED, finish in UNFINISHED
        if was is is_now:
            return
        if is_now:
            self._unfinished += 1
        else:
            self._unfinished -= 1
            if finish == "memory":
                self._finished += 1
            elif finish == "erred":
                self._erred += 1
        if not self._waiting:
            self._waiting = True
            self._say()

    def _say(self) -> None:
        counts = (self._unfinished, self._finished, self._erred)
        if self._tell(unfinished=counts[0], finished=counts[1], erred=counts[2]):
            self._told = counts
        asyncio.get_running_loop().call_later(PACE, self._look_again)

    def _look_again(self) -> None:
        if self._told != (self._unfinished, self._finished, self._erred):
            self._say()
        else:
            self._waiting = False
