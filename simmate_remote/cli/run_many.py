"""Many runs at once, as a person sees them: a live table in a terminal, a line for each that ends elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live

from simmate_remote.cli.output import err, note, safe, table
from simmate_remote.workflows.handle import Handle
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.places import Place, open_place
from simmate_remote.workflows.resources import start
from simmate_remote.workflows.target import Target

ROWS = 15
"""Rows of the live table: what runs, before what waits; all that has ended is counted below it."""

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
        outcomes = []
        for number, each in enumerate(sets):
            outcomes.append(start(target, [each], "serial")[0].outcome())
            _tell(number + 1, len(sets), labels[number], outcomes[-1])
        return outcomes
    with open_place(place) as client:
        handles = start(target, sets, client, host=host)
        try:
            with Live(console=err, refresh_per_second=4) if err.is_terminal else contextlib.nullcontext() as live:
                return _wait(handles, labels, live)
        except KeyboardInterrupt:
            note(f"{sum(not handle.done() for handle in handles)} runs are taken back")
            for handle in handles:
                handle.cancel()
            raise


def _wait(handles: list[Handle[Any]], labels: list[str], live: Live | None) -> list[RunOutcome]:
    outcomes: dict[int, RunOutcome] = {}
    while True:
        for number, handle in enumerate(handles):
            if number not in outcomes and handle.done():
                outcomes[number] = handle.outcome()
                if live is None:
                    _tell(len(outcomes), len(handles), labels[number], outcomes[number])
        if live is not None:
            live.update(_picture(handles, labels, outcomes))
        if len(outcomes) == len(handles):
            return [outcomes[number] for number in range(len(handles))]
        _pause(handles, outcomes)


def _pause(handles: list[Handle[Any]], outcomes: dict[int, RunOutcome]) -> None:
    """Wait until one more has ended, or for a moment."""
    first = next(number for number in range(len(handles)) if number not in outcomes)
    with contextlib.suppress(TimeoutError):
        handles[first].outcome(SECONDS_BETWEEN_LOOKS)


def _picture(handles: list[Handle[Any]], labels: list[str], outcomes: dict[int, RunOutcome]) -> RenderableType:
    rows = sorted(_rows(handles, labels, outcomes), key=lambda row: row[1] == "waiting")[:ROWS]
    failed = sum(outcome.error is not None for outcome in outcomes.values())
    counted = f"{len(outcomes)} of {len(handles)} have ended" + (f", {failed} of them failed" if failed else "")
    return Group(table(("run", "state", "worker", "done", ""), rows), safe(counted, "bold"))


def _rows(
    handles: list[Handle[Any]], labels: list[str], outcomes: dict[int, RunOutcome]
) -> Iterator[tuple[str, str, str, str, str]]:
    for number, handle in enumerate(handles):
        if number not in outcomes:
            update = handle.progress
            done = f"{update.done:,.10g}/{update.total:,.10g}" if update.total else ""
            yield labels[number], update.state, update.worker, done, update.text


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
