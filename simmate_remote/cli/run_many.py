"""Many runs at once, as a person sees them: a live table in a terminal, lines for each elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live

from simmate_remote.cli.output import err, note, safe
from simmate_remote.cli.progress import RunProgress
from simmate_remote.cli.task_lines import TaskLines
from simmate_remote.cli.task_table import ROWS, counted, task_table
from simmate_remote.runs.shown import note_shown
from simmate_remote.workflows.desk_watch import RunDesk
from simmate_remote.workflows.handle import Handle
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.places import Place, open_place
from simmate_remote.workflows.resources import start
from simmate_remote.workflows.run_handle import RunHandle
from simmate_remote.workflows.run_tasks import TaskReport
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.target import Target

SECONDS_BETWEEN_LOOKS = 0.5


def run_many(target: Target, sets: Sequence[dict[str, Any]], place: Place, host: str | None) -> list[RunOutcome]:
    """Run a target once for each parameter set, and show how it goes; a failure stops no other.

    Args:
        target: What to run.
        sets: The parameters of each run, by name.
        place: Where.
        host: What the user calls it, if it is a host.

    Returns:
        What came of each, in their order.
    """
    labels = [_label(each, sets) for each in sets]
    if place == "serial":
        return _one_after_the_other(target, sets, labels)
    with contextlib.nullcontext(place) if isinstance(place, RunDesk) else open_place(place) as where:
        runs = _Runs(start(target, sets, where, host=host), labels)
        try:
            with Live(console=err, refresh_per_second=4) if err.is_terminal else contextlib.nullcontext() as live:
                return runs.wait(live)
        except KeyboardInterrupt:
            runs.take_back()
            raise


def _one_after_the_other(target: Target, sets: Sequence[dict[str, Any]], labels: list[str]) -> list[RunOutcome]:
    outcomes: list[RunOutcome] = []
    for label, each in zip(labels, sets, strict=True):
        with RunProgress(label, live=False, one_of_many=True) as progress:
            outcomes.append(run_target(target, each, "serial", tasks=progress.tasks))
        _tell(len(outcomes), len(sets), label, outcomes[-1])
    return outcomes


class _Runs:
    """Runs that began together on a cluster, and what is shown of them."""

    def __init__(self, handles: list[Handle[Any]], labels: list[str]) -> None:
        self._handles = handles
        self._labels = labels
        self._outcomes: dict[int, RunOutcome] = {}

    def wait(self, live: Live | None) -> list[RunOutcome]:
        """Show how they go until all have ended."""
        lines = [
            TaskLines(handle.tasks, f"{label}: ", only_failures=live is not None)
            for handle, label in zip(self._handles, self._labels, strict=True)
        ]
        while True:
            for number, handle in enumerate(self._handles):
                if number not in self._outcomes:
                    ended = handle.done()
                    if ended and isinstance(handle, RunHandle):
                        handle.settle()
                    lines[number].look()
                    if ended:
                        self._take_outcome(number, tell=live is None)
            if live is not None:
                live.update(self._picture())
            if len(self._outcomes) == len(self._handles):
                return [self._outcomes[number] for number in range(len(self._handles))]
            self._pause()

    def take_back(self) -> None:
        """Take back what has not ended."""
        note(f"{sum(not handle.done() for handle in self._handles)} runs are taken back")
        for handle in self._handles:
            handle.cancel()
        note_shown(handle.id for handle in self._handles if isinstance(handle, RunHandle))

    def _take_outcome(self, number: int, *, tell: bool) -> None:
        outcome = self._outcomes[number] = self._handles[number].outcome()
        if tell or outcome.error is not None:
            _tell(len(self._outcomes), len(self._handles), self._labels[number], outcome)

    def _pause(self) -> None:
        """Wait until one more has ended, or for a moment."""
        first = next(number for number in range(len(self._handles)) if number not in self._outcomes)
        with contextlib.suppress(TimeoutError):
            self._handles[first].outcome(SECONDS_BETWEEN_LOOKS)

    def _picture(self) -> RenderableType:
        unfinished = [number for number in range(len(self._handles)) if number not in self._outcomes]
        updates = {number: self._handles[number].progress for number in unfinished}
        waiting = [number for number in unfinished if updates[number].state in ("waiting", "no worker")]
        rows = [row for number in unfinished if number not in waiting for row in self._rows(number)]
        failed = sum(outcome.error is not None for outcome in self._outcomes.values())
        parts = [
            f"{len(unfinished) - len(waiting)} running",
            f"{len(waiting)} waiting",
            f"{len(self._outcomes) - failed} finished",
            f"{failed} failed",
        ]
        shown: list[RenderableType] = [task_table(rows[:ROWS], err.width)] if rows else []
        if len(rows) > ROWS:
            shown.append(safe(f"and {len(rows) - ROWS} more"))
        if any(update.state == "no worker" for update in updates.values()):
            shown.append(safe("the cluster has no worker"))
        return Group(*shown, safe(f"{len(self._handles)} runs: {', '.join(parts)}", "bold"))

    def _rows(self, number: int) -> Iterator[tuple[str, TaskReport]]:
        """Give a row for each task of a run that runs, and one for a run that has none."""
        handle, label = self._handles[number], self._labels[number]
        tasks = handle.tasks.running()
        for task in tasks:
            yield label, task
        if not tasks:
            update = handle.progress
            text = ", ".join([update.text or f"on {update.worker}", *counted(handle.tasks)])
            yield label, TaskReport(label, done=update.done, total=update.total, text=text)


def _tell(number: int, of: int, label: str, outcome: RunOutcome) -> None:
    tried = f", at attempt {outcome.attempts}" if outcome.attempts > 1 else ""
    if outcome.error is None:
        note(f"{number} of {of}: {label} finished after {outcome.seconds:.1f} s{tried}")
    else:
        last = outcome.traceback.strip().splitlines()[-1] if outcome.traceback else str(outcome.error)
        note(f"{number} of {of}: {label} failed after {outcome.seconds:.1f} s{tried}: {last}")


def _label(parameters: dict[str, Any], sets: Sequence[dict[str, Any]]) -> str:
    """Name a run by the parameters in which the runs differ."""
    different = [name for name in parameters if any(each.get(name) != parameters[name] for each in sets)]
    values = (parameters[name] for name in different)
    return " ".join(value.name if isinstance(value, Path) else str(value) for value in values)
