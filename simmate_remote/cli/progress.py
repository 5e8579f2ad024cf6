"""How a run goes, as a person sees it: a bar in a terminal, lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from simmate_remote.cli.output import err, note, safe
from simmate_remote.workflows.watching import Update

TENTHS = 10


class RunProgress:
    """Shows the updates of one run.

    Args:
        name: The function's.
        live: Whether a bar may be drawn, if there is a terminal. Where the function runs in this process it may not:
            the function's own output, and a debugger, want the terminal for themselves.
    """

    def __init__(self, name: str, *, live: bool) -> None:
        self.name = name
        self._told: tuple[str, int] | None = None
        self._bar: Progress | None = None
        if live and err.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[counted]}", markup=False),
                TimeElapsedColumn(),
                console=err,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._row = self._bar.add_task(name, total=None, counted="")

    def __call__(self, update: Update) -> None:
        """Show an update."""
        text = f"{self.name}: {_what(update)}"
        if self._bar is not None:
            total = update.total or None
            counted = f"{_number(update.done)}/{_number(update.total)}" if total else ""
            self._bar.update(
                self._row, description=safe(text).plain, completed=update.done, total=total, counted=counted
            )
            return
        tenths = int(TENTHS * update.done / update.total) if update.total > 0 else 0
        if update.state != "finished" and self._told != (text, tenths):
            self._told = text, tenths
            note(f"{text}, {_number(update.done)} of {_number(update.total)}" if update.total > 0 else text)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


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
