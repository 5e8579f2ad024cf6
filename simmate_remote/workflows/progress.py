"""How far a function is, and a program that it runs, told by themselves to whoever watches the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from distributed import get_worker

TOPIC = "simmate-remote-runs"
"""The scheduler's events that all reports of all runs come by; each report says whose it is."""

TEXT_LIMIT = 500
"""Characters of what a function says that it does, or of what it failed with: a line, and not a log."""

_SECONDS_BETWEEN = 0.1  # faster than this, nobody can read it
# Each is some work for the scheduler and for whoever watches: a run of a day may make thousands, and not a million.
_SHARE_BETWEEN = 0.001


class Reporter:
    """Sends the reports of a call or of a program, and drops those that follow too closely, or that tell nothing new.

    Args:
        run: The outermost run that it is a part of.
        key: Its own name; the same as ``run`` if it is that run.
        label: What a person calls it, such as ``energy 3``; empty for the run.
        name: The same for all that are alike, such as ``energy``.
        execution: The word of the run's execution that it belongs to.
    """

    def __init__(self, run: str, key: str, label: str = "", name: str = "", execution: str = "") -> None:
        self.run = run
        self.key = key
        self.label = label
        self._whose = {"run": run, "key": key, "label": label, "name": name, "execution": execution}
        self._began = time.monotonic()
        self._last = 0.0
        self._told: dict[str, Any] = {}

    @property
    def is_part(self) -> bool:
        """Whether it tells of a part of a run."""
        return self.key != self.run

    def report(self, *, at_once: bool = False, once: Mapping[str, Any] = MappingProxyType({}), **about: Any) -> None:
        """Tell what is true now, beside what was told before.

        Args:
            at_once: Whether it must travel, however soon it follows.
            once: What has just happened, and is not told again.
            about: Fields of :class:`simmate_remote.workflows.run_tasks.TaskReport`.
        """
        now = time.monotonic()
        told = {**self._told, **about}
        soon = now - self._last < max(_SECONDS_BETWEEN, _SHARE_BETWEEN * (now - self._began))
        if (told == self._told and not once) or (soon and not at_once):
            return
        self._last = now
        self._told = told
        send({**self._whose, **told, **once, "seconds": now - self._began})

    def progress(self, done: float, total: float, text: str) -> None:
        """Tell how much is done; the first report that all is done always travels."""
        was_complete = 0 < self._told.get("total", 0.0) <= self._told.get("done", 0.0)
        about: dict[str, Any] = {"done": float(done), "total": float(total), "text": str(text)[:TEXT_LIMIT]}
        self.report(at_once=0 < total <= done and not was_complete, **about)

    def begin(self) -> None:
        """Tell that it begins; what it tells next travels, however soon."""
        self.report(at_once=True, state="running")
        self._last = 0.0

    @contextmanager
    def from_beginning_to_end(self) -> Iterator[None]:
        """Tell that a part of a run begins, and how it ends."""
        self.begin()
        try:
            yield
        except BaseException as error:
            self.report(at_once=True, state="failed", text=f"{type(error).__name__}: {error}"[:TEXT_LIMIT])
            raise
        self.report(at_once=True, state="finished")


_reporter: ContextVar[Reporter | None] = ContextVar("simmate_remote_reporter", default=None)


def send(report: Mapping[str, Any]) -> None:
    """Let a report go to the scheduler; this is called on a worker."""
    get_worker().log_event(TOPIC, dict(report))


def report_progress(done: float, total: float, text: str = "") -> None:
    """Tell whoever started this run how far it is.

    It works wherever the function runs, costs microseconds, and may be called as often as is convenient: of
    reports within a tenth of a second (a thousandth of the time so far, if that is longer) only the first travels,
    and the first one that says that all is done. Outside of a run, and in a thread that the function has started, it
    does nothing; in a task it tells of the task.

    Args:
        done: How much is done, in any unit.
        total: How much there is to do, in the same unit; 0 if nobody knows.
        text: What is being done now, in a few words.
    """
    reporter = _reporter.get()
    if reporter is not None:
        reporter.progress(done, total, text)


def current_reporter() -> Reporter | None:
    """Give what tells of the call in this thread; None outside of a run on a cluster."""
    return _reporter.get()


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Let reports of the call in this thread go out for the time of a block."""
    token = _reporter.set(reporter)
    try:
        if reporter.is_part:
            with reporter.from_beginning_to_end():
                yield
        else:
            # What an execution before this one has told counts no longer, whether or not this one tells more.
            reporter.begin()
            yield
    finally:
        _reporter.reset(token)
