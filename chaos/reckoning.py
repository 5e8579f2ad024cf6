"""The reckoning: of every run that was taken, the folder, the journal and the row say the same, and that is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chaos.plan import Job
from chaos.stage import Stage
from chaos.work import expected
from simmate_remote.database.plain import open_plain
from simmate_remote.runs.listing import Filter, list_runs, read_run

GIVEN_UP = "RunInterruptedError"


@dataclass
class Reckoning:
    """What is not as it must be; and what was to be expected.

    Args:
        outcomes: Runs that were taken and have the right outcome.
        lost: Runs that were taken, and of which a row or an outcome is missing.
        wrong: Runs whose outcome, in the folder or the row, is not the right one.
        twice: Runs that ended twice, or were begun after their end.
        at_once: Runs with two attempts at once.
        running: Rows that say that a run has not ended.
        unaccounted: Runs of whose attempts not each is in the rows, with its end.
        left: Processes that were left behind.
        given_up: Runs that were interrupted as often as they may be; that is their right outcome then.
        unanswered: Runs whose submission was broken off, and that were taken all the same.
        attempts: All attempts.
    """

    outcomes: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    at_once: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    given_up: int = 0
    unanswered: int = 0
    attempts: int = 0

    @property
    def violations(self) -> dict[str, list[str]]:
        """What is not as it must be."""
        names = ("lost", "wrong", "twice", "at_once", "running", "unaccounted", "left")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def unended(stage: Stage) -> list[str]:
    """Give the runs that have not ended, or are not known, as far as the rows tell."""
    states = {run["id"]: run["state"] for run in _rows(stage)}
    taken = set(stage.ids().values())
    return [run for run in taken | states.keys() if states.get(run) not in ("finished", "failed", "cancelled")]


def reckon(stage: Stage, jobs: list[Job]) -> Reckoning:
    """Compare everything with everything.

    Args:
        stage: Where it was played.
        jobs: What was to be done.
    """
    found = Reckoning()
    rows = {run["id"]: run for run in _rows(stage)}
    attempts = _attempts(stage, list(rows))
    there = stage.look()
    numbers = {run: number for number, run in stage.ids().items()}
    for run in sorted({*numbers, *rows, *there["runs"]}):
        row, folder = rows.get(run), there["runs"].get(run)
        if row is None or folder is None or folder["outcome"] is None:
            if run in numbers or folder is not None:
                found.lost.append(f"{run}: row {row and row['state']}, folder {folder and folder['outcome']}")
            continue
        found.unanswered += run not in numbers
        found.attempts += len(folder["attempts"])
        _judge(found, run, jobs[row["parameters"]["number"]], row, folder)
        if there["endings"].get(run) != 1:
            found.twice.append(f"{run}: {there['endings'].get(run)} endings in the journal")
        told = dict(attempts[run])
        if sorted(told) != folder["attempts"] or None in told.values():
            found.unaccounted.append(f"{run}: {folder['attempts']} in the folder, {told} in the rows")
    return found


def _judge(found: Reckoning, run: str, job: Job, row: dict[str, Any], folder: dict[str, Any]) -> None:
    outcome = folder["outcome"]
    if row["state"] != outcome["state"]:
        found.running.append(f"{run}: {row['state']} in the row, {outcome['state']} in the folder")
    elif row["error_type"] == GIVEN_UP and len(folder["attempts"]) >= row["attempt_limit"]:
        found.given_up += 1
    elif job.fails:
        right = row["state"] == "failed" and row["error"] == f"number {job.number}"
        found.outcomes += right
        found.wrong += [] if right else [f"{run}: {row['state']} {row['error_type']} {row['error']}"]
    else:
        right = row["state"] == "finished" and row["result"] == outcome["plain"] == expected(job.number)
        found.outcomes += right
        found.wrong += [] if right else [f"{run}: {row['state']} {row['result']} {row['error_type']} {row['error']}"]
    for line in folder["witness"]:
        if "two attempts" in line:
            found.at_once.append(run)
        elif "had ended" in line:
            found.twice.append(f"{run}: {line}")
    if folder["witness"].count("begin") > len(folder["attempts"]):
        found.unaccounted.append(f"{run}: {folder['witness'].count('begin')} begins, {folder['attempts']}")


def _rows(stage: Stage) -> list[dict[str, Any]]:
    plain = open_plain(stage.database)
    try:
        return list(list_runs(plain, Filter()))
    finally:
        plain.close()


def _attempts(stage: Stage, runs: list[str]) -> dict[str, list[tuple[int, str | None]]]:
    plain = open_plain(stage.database)
    try:
        return {run: [(each["attempt"], each["how"]) for each in read_run(plain, run)["all_attempts"]] for run in runs}
    finally:
        plain.close()
