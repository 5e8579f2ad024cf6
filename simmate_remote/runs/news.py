"""What became of runs since a person was last told: finished, failed and why, corrected, and what goes on."""

from __future__ import annotations

import json
import socket
from typing import Any

from simmate_remote.database.plain import Plain
from simmate_remote.runs.collector import LEAST_SKEW
from simmate_remote.runs.listing import HERE, shown_id
from simmate_remote.runs.shown import forget_shown, shown
from simmate_remote.runs.states import ENDED

SHOWN_FAILURES = 3
_LISTED = {
    "sqlite": "SELECT value FROM json_each(:seen)",
    "postgresql": "SELECT json_array_elements_text(CAST(:seen AS json))",
}
"""Ids that a statement is given as one value, however many they are."""

LAST_LINES = 2
"""Lines of a failed run's error that are shown: its end says most."""


def take_news(plain: Plain, now: float, host: str | None = None) -> dict[str, Any]:
    """Give what became of runs since this was last asked, in plain data, and take note that it has been told.

    The ends that a command has shown as they came are left out.

    Args:
        plain: The database.
        now: The time now.
        host: Of which host's runs; default: of all hosts'.

    Returns:
        ``since``, and for each state how many runs are in it or have come to it since (``counts``); ``failures``: the
        latest failed runs, each with its last lines; ``corrected``: how many of those that ended were; ``seconds``:
        what they used; ``interrupted``: how many runs lost an attempt. ``since`` is None if there is nothing new to
        tell of these. ``here``: the runs that ended along with the program on this machine that executed them, the
        latest first.
    """
    seen = shown()
    with plain.transaction():
        journals, here = _journals(plain, host)
        news = _nothing()
        latest = {journal: _add(plain, news, journal, told, seen) for journal, told in journals.items()}
        latest |= {journal: _add_interrupted(plain, news, journal, told) for journal, told in here.items()}
        for journal, end in latest.items():
            if end is not None:
                # Not the time now: what has ended before it may still have to be collected. And not much later than it,
                # or an end that a wrong clock has put into the future would hide those that come until then.
                plain.change(
                    "UPDATE simmate_remote_journals SET told = :told WHERE journal = :journal",
                    {"told": min(end, now + LEAST_SKEW), "journal": journal},
                )
        told_of = _told_of(plain, seen)
    forget_shown(told_of)
    return news


def news_in_words(news: dict[str, Any], when: str) -> list[str]:
    """Say what became of runs, a line each.

    Args:
        news: What :func:`take_news` gave.
        when: Since when, in words.
    """
    return [*_of_hosts(news, when), *_of_here(news["here"])]


def _of_hosts(news: dict[str, Any], when: str) -> list[str]:
    if news["since"] is None:
        return []
    counts = news["counts"]
    ended = [f"{counts[state]:,} {state}" for state in (*ENDED, "lost") if counts.get(state)]
    going = [f"{counts[state]:,} {state}" for state in ("running", "interrupted", "queued") if counts.get(state)]
    corrected = f"; {news['corrected']:,} of them were corrected on the way" if news["corrected"] else ""
    used = f"; {_hours(news['seconds'])} of work" if news["seconds"] >= 1 else ""
    again = f"; {news['interrupted']:,} lost an attempt, since what it ran on died" if news["interrupted"] else ""
    lines = [f"since {when}: {', '.join(ended) or 'none ended'}{corrected}{used}{again}"]
    for each in news["failures"]:
        lines += [f"failed: {each['workflow']} ({shown_id(each['id'])}): {each['lines'][0]}", *each["lines"][1:]]
    if (rest := counts.get("failed", 0) - len(news["failures"])) > 0 and news["failures"]:
        lines.append(f"failed: {rest:,} more; simmate-remote runs list --failed shows them")
    return [*lines, f"still {', '.join(going)}"] if going else lines


def _of_here(interrupted: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"interrupted here, with its program: {each['workflow']}; simmate-remote runs restart {shown_id(each['id'])}"
        for each in interrupted[:SHOWN_FAILURES]
    ]
    if (rest := len(interrupted) - SHOWN_FAILURES) > 0:
        lines.append(f"interrupted here: {rest:,} more; simmate-remote runs list --on here --state interrupted")
    return lines


def _nothing() -> dict[str, Any]:
    return {"since": None, "counts": {}, "corrected": 0, "seconds": 0.0, "interrupted": 0, "failures": [], "here": []}


def _journals(plain: Plain, host: str | None) -> tuple[dict[str, float], dict[str, float]]:
    """Give until when each journal was told of: those of hosts, and those of this machine's own programs."""
    lock = " FOR UPDATE" if plain.dialect == "postgresql" else ""
    rows = plain.rows(f"SELECT journal, host, machine, told FROM simmate_remote_journals ORDER BY journal{lock}")
    hosts = {journal: told or 0.0 for journal, name, _, told in rows if name == host or (host is None and name != HERE)}
    machine = socket.gethostname()
    return hosts, {journal: told or 0.0 for journal, name, on, told in rows if name == HERE and on == machine}


def _told_of(plain: Plain, seen: list[str]) -> list[str]:
    """Give those that are told of by now in any case."""
    if not seen:
        return []
    found = plain.rows(
        "SELECT runs.id FROM simmate_remote_runs AS runs JOIN simmate_remote_journals AS journals"
        f" ON journals.journal = runs.journal WHERE runs.id IN ({_LISTED[plain.dialect]})"
        " AND runs.ended <= COALESCE(journals.told, 0)",
        {"seen": json.dumps(seen)},
    )
    return [run for (run,) in found]


def _add(plain: Plain, news: dict[str, Any], journal: str, told: float, seen: list[str]) -> float | None:
    """Add what a journal's rows say, and give the latest end of a run or an attempt in that; None: none is new."""
    new = {"journal": journal, "told": told, "seen": json.dumps(seen)}
    unseen = f" AND runs.id NOT IN ({_LISTED[plain.dialect]})" if seen else ""
    counts: dict[str, int] = news["counts"]
    ended = plain.rows(
        "SELECT state, COUNT(*), SUM(CASE WHEN corrections > 0 THEN 1 ELSE 0 END), SUM(seconds), MIN(created)"
        f" FROM simmate_remote_runs AS runs WHERE journal = :journal AND ended > :told{unseen} GROUP BY state",
        new,
    )
    # Also of those that were seen: before these nothing is new any more.
    last = plain.row("SELECT MAX(ended) FROM simmate_remote_runs WHERE journal = :journal AND ended > :told", new)
    ends: list[float] = [last[0]] if last is not None and last[0] is not None else []
    for state, count, corrected, seconds, first in ended:
        counts[state] = counts.get(state, 0) + int(count)
        news["corrected"] += int(corrected)
        news["seconds"] += float(seconds or 0.0)
        _begin_at(news, max(told, first))
    lost = plain.row(
        "SELECT COUNT(DISTINCT runs.id), MIN(runs.created), MAX(attempts.ended) FROM simmate_remote_runs AS runs"
        " JOIN simmate_remote_attempts AS attempts ON attempts.run = runs.id"
        " WHERE runs.journal = :journal AND attempts.how = 'interrupted' AND attempts.ended > :told" + unseen,
        new,
    )
    if lost is not None and lost[0]:
        news["interrupted"] += int(lost[0])
        _begin_at(news, max(told, lost[1]))
        ends.append(lost[2])
    going = plain.rows(
        "SELECT state, COUNT(*) FROM simmate_remote_runs WHERE journal = :journal"
        " AND state IN ('queued', 'running', 'interrupted', 'lost') GROUP BY state",
        new,
    )
    for state, count in going:
        counts[state] = counts.get(state, 0) + int(count)
    failed = plain.rows(
        "SELECT id, workflow, error_type, error FROM simmate_remote_runs AS runs"
        f" WHERE journal = :journal AND ended > :told AND state = 'failed'{unseen}"
        f" ORDER BY ended DESC LIMIT {SHOWN_FAILURES - len(news['failures']):d}",
        new,
    )
    for run, workflow, kind, error in failed:
        lines = (error or "").strip().splitlines()[-LAST_LINES:] or [""]
        if kind and len(lines) < LAST_LINES:
            lines[0] = f"{kind}: {lines[0]}"
        news["failures"].append({"id": run, "workflow": workflow, "lines": lines})
    return max(ends, default=None)


def _begin_at(news: dict[str, Any], moment: float) -> None:
    news["since"] = moment if news["since"] is None else min(moment, news["since"])


def _add_interrupted(plain: Plain, news: dict[str, Any], journal: str, told: float) -> float | None:
    """Add the runs that were interrupted here, and give when the latest was; None: none is new."""
    found = plain.rows(
        "SELECT runs.id, runs.workflow, attempts.ended FROM simmate_remote_runs AS runs"
        " JOIN simmate_remote_attempts AS attempts ON attempts.run = runs.id"
        " WHERE runs.journal = :journal AND runs.state = 'interrupted' AND attempts.ended > :told"
        " ORDER BY attempts.ended DESC, runs.id DESC",
        {"journal": journal, "told": told},
    )
    news["here"] += [{"id": run, "workflow": workflow} for run, workflow, _ in found]
    return found[0][2] if found else None


def _hours(seconds: float) -> str:
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
