"""Runs as they are found and shown: by filters, page by page, or by a part of an id."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simmate_remote.database.plain import Plain
from simmate_remote.errors import Remedy, RunNotFoundError
from simmate_remote.runs.columns import from_json
from simmate_remote.runs.statements import ATTEMPT, CORRECTION, JSON_COLUMNS, selected

HERE = "here"
"""What stands in the place of a host for what was run on this machine."""

SHORTEST = 4
"""Characters that a part of an id needs at least."""

SHOWN_LENGTH = 8
"""Characters at the end of an id that tell it from every other one nearly always: they are random."""

_LISTED = (
    "id", "state", "workflow", "workflow_version", "parameters", "folder", "started_by", "created", "started", "ended",
    "attempts", "attempt_limit", "corrections", "worker", "seconds", "cpu_seconds", "result", "result_size",
    "error_type", "error", "restarted_from", "cancel_asked",
)  # fmt: skip
"""Columns of a list: all but those that may be long."""

COLUMNS = ("id", "host", *_LISTED[1:])
"""What each run of a list has, in this order."""

_CANDIDATES = 5


@dataclass(frozen=True)
class Filter:
    """Which runs are wanted.

    Args:
        states: Those in one of these states; empty: in any.
        on: Those on one of these hosts; empty: on any.
        workflow: Those of this workflow; ``*`` stands for anything.
        since: Those created since then, in seconds since the epoch.
        before: Those older than the run with this id: the next page.
        limit: So many at the most; None: all.
    """

    states: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    workflow: str | None = None
    since: float | None = None
    before: str | None = None
    limit: int | None = None


def list_runs(plain: Plain, wanted: Filter) -> Iterator[dict[str, Any]]:
    """Yield runs, the newest first; few of them are in memory at a time.

    Args:
        plain: The database.
        wanted: Which.
    """
    hosts = _hosts(plain)
    conditions, values = _conditions(wanted, hosts)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    limit = "" if wanted.limit is None else f"LIMIT {wanted.limit:d}"
    statement = f"SELECT journal, {selected(_LISTED)} FROM simmate_remote_runs {where} ORDER BY id DESC {limit}"
    rows = plain.stream(statement, values) if wanted.limit is None else iter(plain.rows(statement, values))
    for journal, *row in rows:
        yield {"id": row[0], "host": hosts[journal], **_read(_LISTED[1:], row[1:])}


def find_run(plain: Plain, part: str) -> str:
    """Give the id of the run that is meant.

    Args:
        plain: The database.
        part: The id, or so much of its begin or end that only one has it.

    Raises:
        RunNotFoundError: There is none, or more than one.
    """
    part = part.strip().lower()
    found: list[str] = []
    if len(part) >= SHORTEST and set(part) <= set("0123456789abcdef-"):
        rows = plain.rows(
            "SELECT id FROM simmate_remote_runs WHERE id = :part OR id LIKE :begin OR id LIKE :end"
            f" ORDER BY id DESC LIMIT {_CANDIDATES}",
            {"part": part, "begin": f"{part}%", "end": f"%{part}"},
        )
        found = [run for (run,) in rows]
    if len(found) == 1 or part in found:
        return part if part in found else found[0]
    what = f"there is no run {part!r}"
    if found:
        what = f"more than one run is meant by {part!r}: {', '.join(found)}"
    elif len(part) < SHORTEST:
        what = f"{part!r} is too short for a run's id: its last {SHOWN_LENGTH} characters are enough"
    raise RunNotFoundError(what, remedies=(Remedy("simmate-remote runs list", "shows which there are"),))


def read_run(plain: Plain, run: str) -> dict[str, Any]:
    """Give all that is known of a run, its attempts and its corrections; all times by this machine's clock.

    Args:
        plain: The database.
        run: Its id.

    Raises:
        RunNotFoundError: There is none.
    """
    columns = (*_LISTED, "versions", "result_pickle", "traceback", "journal")
    row = plain.row(f"SELECT {selected(columns)} FROM simmate_remote_runs WHERE id = :run", {"run": run})
    if row is None:
        raise RunNotFoundError(f"there is no run {run}", run=run, remedies=(Remedy("simmate-remote runs list"),))
    found = _read(columns, row)
    found["host"] = _hosts(plain)[found["journal"]]
    for name, columns_, order in (("attempts", ATTEMPT, "attempt"), ("corrections", CORRECTION, "told")):
        names = [column for column in columns_ if column != "run"]
        table = f"simmate_remote_{name}"
        rows = plain.rows(f"SELECT {selected(names)} FROM {table} WHERE run = :run ORDER BY {order}", {"run": run})
        found[f"all_{name}"] = [_read(names, each) for each in rows]
    # In the rows these are by the host's clock, since that is how a line is known again.
    journal = {"journal": found["journal"]}
    ((skew,),) = plain.rows("SELECT skew FROM simmate_remote_journals WHERE journal = :journal", journal)
    for each in found["all_corrections"]:
        each["told"] -= skew
    return found


def since_when(text: str, now: float) -> float:
    """Read a moment: ``2 h`` ago, ``2026-11-27``, ``2026-11-27 14:00``.

    Args:
        text: How long ago, or when by this machine's clock.
        now: The time now.

    Returns:
        Seconds since the epoch.

    Raises:
        ValueError: It is neither.
    """
    try:
        return dt.datetime.fromisoformat(text.strip()).astimezone().timestamp()
    except ValueError:
        # Here and not above: its import takes a tenth of a second, which most lists do not need.
        from simmate_remote.inventory.quantities import Duration

        try:
            return now - float(Duration.parse(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is neither a time such as `2 h` or `7 d` ago, nor a date ({error})") from error


def shown_id(run: str) -> str:
    """Give the end of an id, which is enough to name the run."""
    return run[-SHOWN_LENGTH:]


def _conditions(wanted: Filter, hosts: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for column, among, name in (
        ("state", wanted.states, "s"),
        ("journal", [journal for journal, host in hosts.items() if host in wanted.on] if wanted.on else (), "j"),
    ):
        some = {f"{name}{number}": value for number, value in enumerate(among)}
        if some:
            conditions.append(f"{column} IN ({', '.join(f':{each}' for each in some)})")
            values |= some
        elif name == "j" and wanted.on:
            conditions.append("1 = 0")
    if wanted.workflow is not None:
        conditions.append("workflow LIKE :workflow ESCAPE '!'" if "*" in wanted.workflow else "workflow = :workflow")
        values["workflow"] = _pattern(wanted.workflow) if "*" in wanted.workflow else wanted.workflow
    if wanted.since is not None:
        conditions.append("created >= :since")
        values["since"] = wanted.since
    if wanted.before is not None:
        conditions.append("id < :before")
        values["before"] = wanted.before
    return conditions, values


def _pattern(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return text.replace("*", "%")


def _hosts(plain: Plain) -> dict[str, str]:
    """Give how each journal's host is called; what ran on another machine of the user's has that one's name."""
    here = socket.gethostname()
    return {
        journal: machine if host == HERE and machine != here else host
        for journal, host, machine in plain.rows("SELECT journal, host, machine FROM simmate_remote_journals")
    }


def _read(columns: Any, row: Any) -> dict[str, Any]:
    return {name: from_json(value) if name in JSON_COLUMNS else value for name, value in zip(columns, row, strict=True)}
