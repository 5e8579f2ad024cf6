"""How a transfer goes, as a person sees it: a bar in a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from simmate_remote.cli.output import err, note
from simmate_remote.files.host.order import Tally

if TYPE_CHECKING:
    from rich.progress import Progress

PAUSE = 5.0
"""Seconds between two lines."""


class FilesProgress:
    """Shows what a transfer has done so far.

    Args:
        first: Called before anything is shown.
    """

    def __init__(self, first: Callable[[], None]) -> None:
        self._first: Callable[[], None] | None = first
        self._bar: Progress | None = None
        self._told = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        """Show it."""
        if self._first is not None:
            self._first()
            self._first = None
            self._bar = _bar() if err.is_terminal else None
            if self._bar is not None:
                self._bar.add_task("", total=None, counted="")
                self._bar.start()
        counted = f"{tally.wanted_files:,} files"
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], completed=tally.travelled, total=tally.wanted_bytes or None, counted=counted
            )
        elif time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            note(f"{size_in_words(tally.travelled)} of {size_in_words(tally.wanted_bytes)} in {counted}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def size_in_words(size: int) -> str:
    """Give a size as a person reads it, in powers of 1000."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def _bar() -> Progress:
    # Here and not above: where nobody watches, nobody waits for the import.
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.fields[counted]}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
