"""After an attempt: every handler that sees something mends it, in the order in which they are declared.

All of them act before the program starts again, as in custodian, whose handlers are written for that. What is
different here: a correction is only begun if an attempt may follow it, what it changed is read from the files, and
corrections that lead back to inputs which have failed already are noticed.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from simmate_remote.errors import (
    CorrectionsExhaustedError,
    CorrectionsUndoneError,
    HandlerError,
    TaskError,
    UncorrectableError,
)
from simmate_remote.workflows.shell.contents import changed, differences, read_contents, state_of
from simmate_remote.workflows.shell.handlers import Handler
from simmate_remote.workflows.shell.keeping import save_attempt
from simmate_remote.workflows.shell.place import Place
from simmate_remote.workflows.shell.record import Record

CALL_LIMIT = 600.0
"""Seconds that a handler gets to look or to mend; one that waits for something would wait for ever."""

Result = TypeVar("Result")
Fail = Callable[..., TaskError]
"""Makes an error that tells of this task: class, what, and further arguments."""


@dataclass
class Corrector:
    """The handlers of one task at work.

    Args:
        folder: The task's folder.
        record: Its record.
        place: Where handlers are called.
        handlers: All of them.
        allowed: How often the program may be started again.
        rounds: How often it was, already.
        fail: Makes errors.
    """

    folder: Path
    record: Record
    place: Place
    handlers: list[Handler]
    allowed: int
    rounds: int
    fail: Fail
    _kept: int = 0
    _without_way: list[str] = field(default_factory=list)
    _binary: bool = False

    @property
    def without_way(self) -> str:
        """What handlers saw in this attempt, which knew no way and did not mind."""
        return "; ".join(self._without_way)

    def call(self, handler: Handler, method: Callable[[], Result], doing: str) -> Result:
        """Call a handler in its place.

        Raises:
            HandlerError: It raised, or did not come back.
        """
        called = self.place.begin(method, alone=handler.alone)
        if not wait([called], CALL_LIMIT).done:
            raise self.fail(
                HandlerError, f"{handler.name} did not come back within {CALL_LIMIT:.0f} s while it {doing}"
            )
        try:
            result: Result = called.result()
        except Exception as error:
            raise self.raised(handler, error, doing) from error
        return result

    def raised(self, handler: Handler, error: BaseException, doing: str) -> TaskError:
        """Make the error of a handler that raised."""
        frames = error.__traceback__
        while frames is not None and "simmate_remote/workflows/shell/" in frames.tb_frame.f_code.co_filename:
            frames = frames.tb_next
        return self.fail(
            HandlerError,
            f"{handler.name} raised {type(error).__name__} while it {doing}: {error}",
            detail="".join(traceback.format_exception(type(error), error, frames or error.__traceback__)),
        )

    def round(self, attempt: int, monitor: Handler | None) -> bool:
        """Let all handlers look, and mend what they see.

        Args:
            attempt: The attempt that has ended.
            monitor: The monitor that had it ended: it has seen something already.

        Returns:
            Whether the program is to be started again.

        Raises:
            TaskError: One knows no way, raised, or may not correct any more; or they undo each other.
        """
        self._without_way.clear()
        corrected = any(one["attempt"] == attempt for one in self.record.corrections)
        after = self.handlers.index(monitor) if monitor is not None else -1
        for number, handler in enumerate(self.handlers):
            if handler.acted_in == attempt or (monitor is not None and handler.is_monitor and number < after):
                continue
            seen = handler is monitor or self.call(handler, handler.check, "looked")
            if seen and self._may_correct(handler):
                corrected |= self.correct(handler, attempt)
        if corrected:
            self._check_limit(self.record.corrections[-1]["handler"])
            self.rounds += 1
            self._note_state()
        return corrected

    def correct(self, handler: Handler, attempt: int, *, running: bool = False) -> bool:
        """Let a handler mend what it has seen, and record it; say whether it could.

        Args:
            handler: It.
            attempt: The attempt that it is about.
            running: Whether that still runs, and the caller is in the handler's place already.
        """
        if running:
            handler.acted_in = attempt
        else:
            self._check_limit(handler.name)
            self._keep(attempt)
        before = read_contents(self.folder)
        try:
            seen, done = handler.correct() if running else self.call(handler, handler.correct, "corrected")
        except TaskError:
            raise
        except Exception as error:
            raise self.raised(handler, error, "corrected") from error
        if not done:
            if handler.raises:
                raise self.fail(
                    UncorrectableError,
                    f"{handler.name} knows no way to mend what it sees: {', '.join(seen) or 'no more is told'}",
                    detail=self._history(),
                )
            self._without_way.append(f"{handler.name}: {', '.join(seen)}")
            return False
        handler.remember(handler.done + 1)
        now = read_contents(self.folder)
        names = changed(before, now)
        for name in names:
            old, new = before.get(name), now.get(name)
            # A copy that a handler makes for people is new, and no text: it is no input.
            if new is not None and (old is not None or new.text is not None):
                self.record.inputs.setdefault(name, "")
            self._binary |= old is not None and old.text is None
        self.record.corrections.append(
            {
                "attempt": attempt,
                "handler": handler.name,
                "seen": seen,
                "done": done,
                "when": time.time(),
                "difference": differences(before, now),
            }
        )
        self.record.save(self.folder)
        return True

    def _check_limit(self, name: str) -> None:
        if self.rounds >= self.allowed:
            raise self.fail(
                CorrectionsExhaustedError,
                f"{name} sees a fault after {self.rounds} corrections, and no more are allowed",
                detail=self._history(),
            )

    def _may_correct(self, handler: Handler) -> bool:
        if handler.most is None or handler.done < handler.most:
            return True
        if handler.raises_at_most:
            raise self.fail(
                CorrectionsExhaustedError,
                f"{handler.name} sees a fault, and has corrected {handler.most} times, which is its most",
                detail=self._history(),
            )
        return False

    def _keep(self, attempt: int) -> None:
        if self._kept != attempt:
            self.record.state = "correcting"
            self.record.save(self.folder)
            left_out = save_attempt(self.folder, attempt)
            self.record.attempts[-1]["not_kept"] = left_out
            self._kept = attempt

    def _note_state(self) -> None:
        state = state_of(read_contents(self.folder), self.record.inputs)
        before = self.record.seen
        # A handler that changes nothing in the texts has done something else, or is stopped by the limit.
        if state in before[:-1] and state != before[-1] and not self._binary:
            since = len(before) - before.index(state)
            attempts = sorted({one["attempt"] for one in self.record.corrections})[-since:]
            names = dict.fromkeys(one["handler"] for one in self.record.corrections if one["attempt"] in attempts)
            raise self.fail(
                CorrectionsUndoneError,
                f"{' and '.join(names)} undo each other: the inputs are again what they were {since} attempts ago, "
                "which had failed",
                detail=self._history(),
            )
        before.append(state)

    def _history(self) -> str:
        lines = []
        for one in self.record.corrections:
            lines.append(
                f"after attempt {one['attempt']}: {one['handler']} saw {', '.join(one['seen']) or 'something'}"
            )
            lines += [f"  {line}" for line in one["difference"].splitlines()[:20]]
        return "\n".join(lines)


def remembered(handlers: list[Handler], record: Record) -> None:
    """Let handlers know what they have done in this folder before it was interrupted."""
    for handler in handlers:
        handler.remember(sum(one["handler"] == handler.name for one in record.corrections))
