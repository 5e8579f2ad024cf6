"""The tasks of a run where there is no terminal: lines when one has begun, was mended, goes on, and has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

from simmate_remote.cli.output import note
from simmate_remote.cli.task_table import how_it_goes
from simmate_remote.workflows.run_tasks import RunTasks, TaskReport

SECONDS_BEFORE_FIRST = 1.0
"""A task that takes less time than this has one line, at its end."""

SECONDS_BETWEEN = 10.0
SHARE_BETWEEN = 0.1
"""A number that changes is told again after this time, and after this part of the time that the task has run."""


@dataclass
class _Told:
    mended: str
    how: str
    when: float


class TaskLines:
    """Prints what is new of a run's tasks each time that it looks.

    Args:
        tasks: The run's.
        before: What each line begins with, such as the name of the run if there are several.
        only_failures: Whether a table shows all the rest.
    """

    def __init__(self, tasks: RunTasks, before: str = "", *, only_failures: bool = False) -> None:
        self._tasks = tasks
        self._before = before
        self._only_failures = only_failures
        self._told: dict[str, _Told] = {}

    def look(self) -> None:
        """Print what is new."""
        for task in self._tasks.take_endings():
            self._told.pop(task.key, None)
            self._tell_end(task)
        if not self._only_failures:
            for task in self._tasks.running():
                self._tell_change(task)

    def _tell_change(self, task: TaskReport) -> None:
        now = time.monotonic()
        mended, how = task.mended(), how_it_goes(task)
        told = self._told.get(task.key)
        if told is None:
            new = task.age >= SECONDS_BEFORE_FIRST or bool(mended)
        else:
            due = now - told.when >= max(SECONDS_BETWEEN, SHARE_BETWEEN * task.age)
            new = mended != told.mended or (due and how != told.how)
        if new:
            self._told[task.key] = _Told(mended, how, now)
            where = f" in {task.folder}" if told is None and task.folder else ""
            parts = [f"{task.stage or 'running'}{where}", mended, how]
            note(f"{self._before}{task.label}: {', '.join(filter(None, parts))}")

    def _tell_end(self, task: TaskReport) -> None:
        line = f"{self._before}{task.label} {task.state} after {task.seconds:.1f} s"
        if mended := task.mended():
            line += f", {mended}"
        if task.state == "failed":
            note(f"{line}: {task.text.partition(chr(10))[0]}")
        elif not self._only_failures:
            note(", ".join(filter(None, [line, task.numbers()])))
