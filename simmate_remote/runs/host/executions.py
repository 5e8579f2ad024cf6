"""Which reports of a run still count: its worker may die while tasks that it has started are at work elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Executions:
    """Tells the reports of a run's latest execution from those of dead ones.

    Each execution, one per attempt, has a word that is in all of its reports and in those of its tasks. Its first
    report is the run's own, of its beginning, and the scheduler begins a run again only when it knows that the worker
    is dead. So of two words that which is seen later is that of the later execution.
    """

    def __init__(self) -> None:
        self._latest = ""
        self._over: set[str] = set()

    def begins(self, report: Mapping[str, Any]) -> bool:
        """Take note of the execution that a report is of, and say whether it has taken the place of another."""
        word, before = report.get("execution", ""), self._latest
        if not word or word == before or word in self._over:
            return False
        self.end_latest()
        self._latest = word
        return bool(before)

    def end_latest(self) -> None:
        """Learn that the latest execution is dead."""
        if self._latest:
            self._over.add(self._latest)
            self._latest = ""

    def is_over(self, report: Mapping[str, Any]) -> bool:
        """Say whether a report is of an execution that is dead."""
        return report.get("execution", "") in self._over
