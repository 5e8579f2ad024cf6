"""How far a function is, told by the function itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from distributed import get_worker

_SECONDS_BETWEEN = 0.1  # faster than this, nobody can read it
# The scheduler keeps all reports: a run of a day may make some thousands of them, and not a million.
_SHARE_BETWEEN = 0.001


class _Reporter:
    """Sends the reports of one attempt, and drops those that follow too closely."""

    def __init__(self, topic: str, key: str) -> None:
        self.topic = topic
        self.key = key
        self._began = time.monotonic()
        self._last = 0.0
        self._complete = False

    def report(self, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        complete = 0 < total <= done
        if now - self._last < max(_SECONDS_BETWEEN, _SHARE_BETWEEN * (now - self._began)) and (
            not complete or self._complete
        ):
            return
        self._last = now
        self._complete = complete
        report = {"key": self.key, "done": float(done), "total": float(total), "text": str(text)}
        get_worker().log_event(self.topic, report)


_reporter: ContextVar[_Reporter | None] = ContextVar("simmate_remote_reporter", default=None)


def report_progress(done: float, total: float, text: str = "") -> None:
    """Tell whoever started this run how far it is.

    It works wherever the function runs, costs microseconds, and may be called as often as is convenient: of
    reports within a tenth of a second (a thousandth of the time so far, if that is longer) only the first travels,
    and the first one that says that all is done. Outside of a run, and in a thread or a task that the function has
    started, it does nothing.

    Args:
        done: How much is done, in any unit.
        total: How much there is to do, in the same unit; 0 if nobody knows.
        text: What is being done now, in a few words.
    """
    reporter = _reporter.get()
    if reporter is not None:
        reporter.report(done, total, text)


@contextmanager
def reporting(topic: str, key: str) -> Iterator[None]:
    """Let reports of a task go to a topic of the scheduler's events."""
    token = _reporter.set(_Reporter(topic, key))
    try:
        yield
    finally:
        _reporter.reset(token)
