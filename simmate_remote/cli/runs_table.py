"""Runs as a person sees them: a row of a table, and all about one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from simmate_remote.cli.output import out, safe, table
from simmate_remote.cli.reports import in_words
from simmate_remote.runs.listing import HERE, shown_id

_STYLES = {"finished": "green", "failed": "red", "cancelled": "dim", "lost": "red", "running": "yellow"}
_LONGEST_NOTE = 60


def runs_table(runs: Iterable[Mapping[str, Any]]) -> Table:
    """Make a table of runs, a row each."""
    rows = [
        (
            shown_id(run["id"]),
            state_text(run),
            run["workflow"],
            run["host"],
            moment(run["created"]),
            length(run),
            _note(run),
        )
        for run in runs
    ]
    return table(("run", "state", "workflow", "on", "created", "took", ""), rows)


def print_run(run: Mapping[str, Any], result: str | None) -> None:
    """Print all about one run.

    Args:
        run: What is known of it.
        result: Its result, in words.
    """
    out.print(safe(f"{run['workflow']} {run['id']}: ", "bold") + state_text(run))
    for name, value in _facts(run, result):
        out.print(safe(f"  {name + ':':<12} {value}"), soft_wrap=True)
    if run["traceback"]:
        out.print(safe(f"\n{run['traceback'].rstrip()}"), soft_wrap=True)


def state_text(run: Mapping[str, Any]) -> Text:
    """Give a run's state in its colour."""
    return safe(run["state"], _STYLES.get(run["state"], ""))


def moment(when: float | None) -> str | None:
    """Say when something was: the time if it was today, else the date too."""
    if when is None:
        return None
    there = time.localtime(when)
    today = there[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", there)


def length(run: Mapping[str, Any]) -> str | None:
    """Say how long a run took, or has been running."""
    seconds = run["seconds"]
    if run["state"] == "running" and run["started"] is not None:
        seconds = time.time() - run["started"]
    return None if seconds is None else in_words(seconds)


def _note(run: Mapping[str, Any]) -> str:
    notes = []
    if run["attempts"] > 1:
        notes.append(f"attempt {run['attempts']}")
    if run["corrections"]:
        notes.append(f"{run['corrections']} correction{'s' if run['corrections'] > 1 else ''}")
    if run["cancel_asked"] is not None:
        notes.append("to be cancelled")
    if _stays_interrupted(run):
        notes.append(f"its program ended; simmate-remote runs restart {shown_id(run['id'])}")
    if run["error"]:
        last = (run["error"].strip().splitlines() or [""])[-1]
        text = f"{run['error_type']}: {last}" if run["error_type"] else last
        notes.append(text if len(text) <= _LONGEST_NOTE else f"{text[: _LONGEST_NOTE - 1]}…")
    return "; ".join(notes)


def _facts(run: Mapping[str, Any], result: str | None) -> Iterable[tuple[str, str]]:
    yield "on", f"{run['host']}, in {run['folder']}"
    yield "parameters", ", ".join(f"{name}={value!r}" for name, value in (run["parameters"] or {}).items()) or "none"
    by = f" by {run['started_by']}" if run["started_by"] else ""
    yield "created", f"{moment(run['created'])}{by}"
    if run["restarted_from"]:
        yield "again", f"of the run {run['restarted_from']}"
    for each in run["all_attempts"]:
        yield f"attempt {each['attempt']}", _attempt(each)
    for each in run["all_corrections"]:
        yield "corrected", f"{_words(each['seen'])}: {_words(each['done'])}"
    if run["cancel_asked"] is not None:
        yield "cancel", f"asked for {moment(run['cancel_asked'])}; the host is told as soon as it can be reached"
    if run["ended"] is not None:
        cpu = f", {run['cpu_seconds']:.1f} s of a core" if run["cpu_seconds"] else ""
        yield "took", f"{length(run)}{cpu}"
    versions = ", ".join(f"{name} {version}" for name, version in (run["versions"] or {}).items())
    if versions:
        yield "versions", versions
    if result is not None:
        yield "result", result
    if run["error"]:
        yield "error", f"{run['error_type'] or ''}: {run['error']}".removeprefix(": ")
    if _stays_interrupted(run):
        yield "next", f"simmate-remote runs restart {shown_id(run['id'])}    (runs it again, here)"


def _stays_interrupted(run: Mapping[str, Any]) -> bool:
    """Say whether a run was interrupted that is not begun again by itself."""
    return bool(run["state"] == "interrupted" and run["host"] == HERE)


def _attempt(attempt: Mapping[str, Any]) -> str:
    began = moment(attempt["began"]) or "nobody knows when"
    where = f" on {attempt['worker']}" if attempt["worker"] else ""
    if attempt["how"] is None:
        return f"{began}{where}, goes on"
    reason = f" ({attempt['reason']})" if attempt["reason"] else ""
    ended = f" {moment(attempt['ended'])}" if attempt["ended"] is not None else ""
    return f"{began}{where}, {attempt['how']}{ended}{reason}"


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def since_told(news: Mapping[str, Any]) -> str:
    """Say since when there are news."""
    return moment(news["since"]) or ""
