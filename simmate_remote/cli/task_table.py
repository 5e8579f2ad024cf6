"""The tasks of runs as a live table shows them: a row for each that runs, and below it how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from simmate_remote.cli.output import safe
from simmate_remote.workflows.run_tasks import RunTasks, TaskReport

ROWS = 15
"""Rows of a live table: what runs, and what has ended last; all of them are counted below it."""

_LONG = {"how it goes": 2, "folder": 1}
_NUMBERS = frozenset({"attempt", "corrections", "time"})
_WITH_FOLDERS = 100
"""Columns of a terminal from which on there is room for the folders."""


def task_table(rows: Sequence[tuple[str, TaskReport]], width: int) -> RenderableType:
    """Show tasks.

    Args:
        rows: The run that each is a part of, empty if there is only one, and the task.
        width: The terminal's, in characters.
    """
    columns = {name: [cell(task) for _, task in rows] for name, cell in _CELLS.items()}
    if width < _WITH_FOLDERS:
        del columns["folder"]
    grid = Table(box=None, pad_edge=False, header_style="bold")
    used = {name: cells for name, cells in {"run": [run for run, _ in rows], **columns}.items() if any(cells)}
    for name in used:
        if name in _LONG:
            grid.add_column(name, no_wrap=True, overflow="ellipsis", ratio=_LONG[name])
        else:
            grid.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for cells in zip(*used.values(), strict=True):
        grid.add_row(*map(safe, cells))
    return grid


def counted(tasks: RunTasks) -> Iterator[str]:
    """Say how many tasks of each name there are."""
    for name, counts in tasks.counts().items():
        parts = [
            f"{number} {word}"
            for number, word in (
                (counts.running, "running"),
                (counts.waiting, "waiting"),
                (counts.finished, "finished"),
                (counts.failed, "failed"),
            )
            if number
        ]
        yield f"{name}: {', '.join(parts)}"


def how_it_goes(task: TaskReport) -> str:
    """Give a task's numbers, what it has done, and what it says, as far as it tells them."""
    done = f"{task.done:,.10g}/{task.total:,.10g}" if task.total else ""
    return ", ".join(filter(None, [task.numbers(), done, task.text.partition("\n")[0]]))


def time_in_words(seconds: float) -> str:
    """Give a length as ``12 s``, ``3:05`` or ``2:03:05``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def _stage(task: TaskReport) -> str:
    return task.stage or task.state if task.state == "running" else task.state


_CELLS: dict[str, Callable[[TaskReport], str]] = {
    "task": lambda task: task.label,
    "stage": _stage,
    "attempt": lambda task: str(task.attempt or ""),
    "corrections": lambda task: str(task.corrections or ""),
    "time": lambda task: time_in_words(task.age) if task.label else "",
    "how it goes": how_it_goes,
    "folder": lambda task: task.folder,
}
"""Columns; one in which nothing stands is left out."""
