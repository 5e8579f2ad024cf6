"""How a run goes, as a person sees it: a bar and a table of its tasks in a terminal, lines elsewhere; on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from simmate_remote.cli.output import err, note, safe
from simmate_remote.cli.task_lines import TaskLines
from simmate_remote.cli.task_table import ROWS, counted, task_table
from simmate_remote.workflows.run_tasks import RunTasks
from simmate_remote.workflows.watching import Update

TENTHS = 10
SECONDS_BETWEEN_LOOKS = 1.0


class RunProgress:
    """Shows the updates of one run, and its tasks.

    Args:
        name: The function's.
        live: Whether a bar may be drawn, if there is a terminal. Where the function runs in this process it may not:
            the function's own output, and a debugger, want the terminal for themselves.
        one_of_many: Whether lines about its tasks have to say whose they are.

    Attributes:
        tasks: Gathers what the run's tasks tell.
    """

    def __init__(self, name: str, *, live: bool, one_of_many: bool = False) -> None:
        self.name = name
        self.tasks = RunTasks()
        self._told: tuple[str, int] | None = None
        self._bar: _Bar | None = None
        if live and err.is_terminal:
            self._bar = _Bar(name, self.tasks)
        self._lines = TaskLines(self.tasks, f"{name}: " if one_of_many else "", only_failures=self._bar is not None)
        self._over = threading.Event()
        self._looks = threading.Thread(target=self._look, name="task-lines", daemon=True)

    def __call__(self, update: Update) -> None:
        """Show an update."""
        text = f"{self.name}: {_what(update)}"
        if self._bar is not None:
            self._bar.show(text, update)
            return
        tenths = int(TENTHS * update.done / update.total) if update.total > 0 else 0
        if update.state != "finished" and self._told != (text, tenths):
            self._told = text, tenths
            note(f"{text}, {_number(update.done)} of {_number(update.total)}" if update.total > 0 else text)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        self._looks.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._looks.join()
        if self._bar is not None:
            self._bar.stop()

    def _look(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self._lines.look()
        self._lines.look()


class _Bar(Progress):
    """A bar for the run, and below it a table of its tasks, and how many there are."""

    def __init__(self, name: str, tasks: RunTasks) -> None:
        self._parts = tasks
        self._own = (0.0, 0.0)
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counted]}", markup=False),
            TimeElapsedColumn(),
            console=err,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._row = self.add_task(name, total=None, counted="")

    def show(self, text: str, update: Update) -> None:
        """Show an update of the run itself."""
        self._own = (update.done, update.total)
        self.update(self._row, description=safe(text).plain)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give the bar, the table and the counts as they are now."""
        done, total = self._own if self._own[1] else self._parts.ended_and_started()
        if total:
            self.update(self._row, completed=done, total=total, counted=f"{_number(done)}/{_number(total)}")
        yield from super().get_renderables()
        if rows := self._parts.latest(ROWS):
            yield task_table([("", task) for task in rows], self.console.width)
        for line in counted(self._parts):
            yield safe(line, "bold")


def _number(value: float) -> str:
    return f"{value:,.10g}"


def _what(update: Update) -> str:
    match update.state:
        case "no worker":
            return "waits: the cluster has no worker"
        case "waiting":
            return f"waits for one of {update.workers} workers" if update.workers else "waits"
        case "finished":
            return "finished"
    again = f", attempt {update.attempt}, since a worker died" if update.attempt > 1 else ""
    return (update.text or (f"on {update.worker}" if update.worker else "running")) + again
