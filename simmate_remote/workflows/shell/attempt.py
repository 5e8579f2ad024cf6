"""One attempt: the program runs in its slots, while its monitors look, until it ends or has to."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from simmate_remote.workflows.shell.handlers import Handler
from simmate_remote.workflows.shell.place import Place
from simmate_remote.workflows.shell.programs import Ending, Program

FIRST_LOOK = 0.1
"""Seconds after which monitors look for the first time: a job of a second is to be caught, too."""

_BACKOFF = 2.0
_SHARE = 0.05
"""The part of the time that looking may take."""

_TELL_EVERY = 1.0
_CANCEL_LOOK = 0.25
LONGEST = 3600.0


@dataclass
class Watched:
    """How an attempt went.

    Args:
        ending: How the program ended.
        late: Whether it was ended since its time was over.
        cancelled: Whether it was ended since somebody asked for it.
        monitor: The monitor that had it ended.
    """

    ending: Ending
    late: bool = False
    cancelled: bool = False
    monitor: Handler | None = None


class Watch:
    """Watches over one program.

    Args:
        program: It.
        place: Where monitors are called.
        monitors: Those that look while it runs.
        every: Seconds between two looks in the end.
        time_limit: Seconds that it may run; None: any time.
        cancelled: Says whether it is to be ended.
        correct: Lets a monitor act that does not want the program ended.
        tick: Called about once a second.
        noted: Is told by which monitor and with what a look failed; a file may not be there yet.
    """

    def __init__(
        self,
        program: Program,
        place: Place,
        monitors: list[Handler],
        *,
        every: float,
        time_limit: float | None,
        cancelled: Callable[[], bool] | None,
        correct: Callable[[Handler], object],
        tick: Callable[[], None] | None,
        noted: Callable[[Handler, BaseException], None],
    ) -> None:
        self._program = program
        self._place = place
        self._monitors = monitors
        self._every = every
        self._limit = time_limit
        self._cancelled = cancelled
        self._correct = correct
        self._tick = tick
        self._noted = noted
        self._acted: set[Handler] = set()

    def run(self) -> Watched:
        """Watch until the program has ended."""
        began = time.monotonic()
        deadline = began + self._limit if self._limit is not None else None
        pause = FIRST_LOOK
        next_look = began + pause if self._monitors else None
        next_tick = began + _TELL_EVERY if self._tick else None
        look: Future[Handler | None] | None = None
        looked = 0.0
        while True:
            now = time.monotonic()
            due = [moment for moment in (deadline, next_tick, next_look) if moment is not None]
            wait = min([LONGEST, *(moment - now for moment in due)])
            if look is not None:
                wait = min(wait, 0.02)
            if self._cancelled is not None:
                wait = min(wait, _CANCEL_LOOK)
            ending = self._program.wait(max(0.0, wait))
            if ending is not None:
                return Watched(ending)
            now = time.monotonic()
            if self._cancelled is not None and self._cancelled():
                return Watched(self._program.end(), cancelled=True)
            if deadline is not None and now >= deadline:
                return Watched(self._program.end(), late=True)
            if next_tick is not None and now >= next_tick and self._tick is not None:
                self._tick()
                next_tick = now + _TELL_EVERY
            if next_look is not None and now >= next_look:
                look, looked, next_look = self._begin_look(), now, None
            if look is not None and look.done():
                found = look.result()
                if found is not None:
                    return Watched(self._program.end(), monitor=found)
                look = None
                pause = max(min(pause * _BACKOFF, self._every), (now - looked) / _SHARE)
                next_look = now + pause

    def _begin_look(self) -> Future[Any]:
        alone = any(monitor.alone for monitor in self._monitors)
        return self._place.begin(self._look, alone=alone)

    def _look(self) -> Handler | None:
        """Let each monitor look, in its place, and give the first that wants the program ended."""
        for monitor in self._monitors:
            spent = monitor.most is not None and monitor.done >= monitor.most and not monitor.raises_at_most
            # What it sees stays to be seen until the program ends, which it has asked for.
            if spent or monitor in self._acted:
                continue
            try:
                seen = monitor.check()
            except Exception as error:  # noqa: BLE001 - it looks again at the end, and then it counts
                self._noted(monitor, error)
                continue
            if seen and monitor.is_terminating:
                return monitor
            if seen:
                self._acted.add(monitor)
                self._correct(monitor)
        return None
