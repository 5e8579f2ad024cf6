"""The scheduler's leisure: what takes its processor for a while waits until that delays nobody's first result."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

PATIENCE = 2.0
"""Seconds after which it is done although no first result has come."""

_numbers = itertools.count()


async def leisure(scheduler: Scheduler) -> None:
    """Wait until a first task has been computed, or for two seconds."""
    first = _FirstResult()
    scheduler.add_plugin(first)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(first.came.wait(), PATIENCE)
    finally:
        scheduler.remove_plugin(first.name)


class _FirstResult(SchedulerPlugin):  # type: ignore[misc]
    def __init__(self) -> None:
        self.name = f"simmate-remote-first-result-{next(_numbers)}"
        self.came = asyncio.Event()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish == "memory":
            self.came.set()
