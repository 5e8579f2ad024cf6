"""The tasks of one run, as they report themselves: what a person sees of them, a line for each."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

ENDINGS_KEPT = 1000
"""Tasks that have ended, and of which nobody has taken note; a choice: more than anybody reads at once."""

LATEST_KEPT = 50
"""Tasks that have ended last, for a table that shows some of them."""


@dataclass(frozen=True)
class TaskReport:
    """What a task has last told of itself: a call of a ``@task``, or a program that the run performs itself.

    Args:
        key: Its own name.
        label: What a person calls it, such as ``energy 3``.
        name: The same for all that are alike, such as ``energy``.
        state: Whether it runs, or how it ended.
        stage: That of the program that it performs; empty if it performs none.
        attempt: The number of the program's attempt; 0 before the first.
        corrections: How many the program has had.
        values: What the program's task can tell, such as an energy.
        done: What it has reported as done, in its own unit.
        total: What it has reported as all there is to do; 0 if it has reported nothing.
        text: What it has said it is doing, or what it has failed with.
        folder: The program's.
        seconds: How long it had run when it told this.
        heard: When this arrived here, by the monotonic clock.
    """

    key: str
    label: str = ""
    name: str = ""
    state: Literal["running", "finished", "failed"] = "running"
    stage: str = ""
    attempt: int = 0
    corrections: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    done: float = 0.0
    total: float = 0.0
    text: str = ""
    folder: str = ""
    seconds: float = 0.0
    heard: float = 0.0

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self:
        """Read a report of :mod:`simmate_remote.workflows.progress`."""
        return cls(**{name: report[name] for name in _FIELDS & report.keys()}, heard=time.monotonic())

    @property
    def age(self) -> float:
        """How long it has run by now, or did until it ended, in seconds."""
        return self.seconds + (time.monotonic() - self.heard if self.state == "running" else 0.0)

    def in_words(self) -> str:
        """Say in one line where it is, such as ``running, attempt 2, 1 correction, energy -15.84``."""
        if not self.stage:
            return self.text
        return ", ".join(filter(None, [self.stage, self.mended(), self.numbers()]))

    def mended(self) -> str:
        """Say which attempt it is, and how many corrections there were; empty as long as nothing went wrong."""
        parts = [f"attempt {self.attempt}"] if self.attempt > 1 else []
        if self.corrections:
            parts.append(f"{self.corrections} correction{'s' if self.corrections > 1 else ''}")
        return ", ".join(parts)

    def numbers(self) -> str:
        """Give what its program tells, such as ``step 3, energy -15.84``."""
        return ", ".join(f"{name} {value:.10g}" for name, value in self.values.items())


_FIELDS = frozenset(each.name for each in dataclasses.fields(TaskReport)) - {"heard"}


@dataclass(frozen=True)
class Counts:
    """How many of the tasks of one name there are.

    Args:
        started: By the workflow, whether they run or wait; programs that a run performs itself wait for no worker.
        running: Now.
        finished: With success.
        failed: The others that have ended.
    """

    started: int = 0
    running: int = 0
    finished: int = 0
    failed: int = 0

    @property
    def waiting(self) -> int:
        """How many have not begun."""
        return max(0, self.started - self.running - self.finished - self.failed)


class RunTasks:
    """Gathers what the tasks of one run tell. What has ended is only counted, so a run may have any number."""

    def __init__(self) -> None:
        self._running: dict[str, TaskReport] = {}
        self._counts: dict[str, Counts] = {}
        self._ended: deque[TaskReport] = deque(maxlen=ENDINGS_KEPT)
        self._latest: deque[TaskReport] = deque(maxlen=LATEST_KEPT)
        self._lock = threading.Lock()

    def take(self, report: Mapping[str, Any]) -> None:
        """Take a report that is about a part of this run, or tells how many parts were added."""
        with self._lock:
            if "added" in report:
                for name, number in report["added"].items():
                    self._count(name, started=number)
                return
            told = TaskReport.of(report)
            if told.state == "running":
                if told.key not in self._running:
                    self._count(told.name, running=1)
                self._running[told.key] = told
                return
            known = self._running.pop(told.key, None)
            self._count(told.name, **{told.state: 1, "running": -1 if known else 0})
            self._ended.append(told)
            self._latest.append(told)

    def begin_again(self) -> None:
        """Forget what was told: an attempt is over that told it, or all of it will be told once more."""
        with self._lock:
            self._running.clear()
            self._counts.clear()
            self._latest.clear()

    def running(self) -> list[TaskReport]:
        """Give those that run, in the order in which they have begun."""
        with self._lock:
            return list(self._running.values())

    def latest(self, number: int) -> list[TaskReport]:
        """Give those that run, and of those that have ended the last, in the order in which they have begun.

        Args:
            number: Of how many.
        """
        with self._lock:
            running = list(self._running.values())[:number]
            ended = list(self._latest)[::-1][: number - len(running)]
        return sorted([*running, *ended], key=lambda task: task.heard - task.seconds)

    def program(self) -> str:
        """Say in one line what the program does that the run performs itself; empty if there is none."""
        programs = [report for report in self.running() if report.stage]
        return programs[-1].in_words() if len(programs) == 1 else ""

    def counts(self) -> dict[str, Counts]:
        """Give how many of each name there are."""
        with self._lock:
            return dict(self._counts)

    def ended_and_started(self) -> tuple[int, int]:
        """Give how many calls of tasks have ended, and how many there are, waiting ones included."""
        counts = [each for each in self.counts().values() if each.started]
        ended = sum(each.finished + each.failed for each in counts)
        return ended, ended + sum(each.running + each.waiting for each in counts)

    def take_endings(self) -> list[TaskReport]:
        """Give those that have ended since this was last asked, in their order; of very many, the last."""
        with self._lock:
            ended = list(self._ended)
            self._ended.clear()
            return ended

    def _count(self, name: str, **more: int) -> None:
        known = self._counts.get(name, Counts())
        self._counts[name] = dataclasses.replace(
            known, **{each: getattr(known, each) + number for each, number in more.items()}
        )
