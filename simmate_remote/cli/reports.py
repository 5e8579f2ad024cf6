"""What a session says of itself, in words: the summary of ``connect`` and the table of ``status``."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.filesize import decimal
from rich.table import Table

from simmate_remote.cli.output import out, safe, table
from simmate_remote.errors import error_from_dict
from simmate_remote.runs.news import news_in_words

_STATES = {"connected": "green", "connecting": "yellow", "reconnecting": "yellow", "waiting for you": "yellow"}
SHOWN_OUTAGES = 3
SHOWN_EVENTS = 5
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def print_session(report: dict[str, Any], next_commands: Sequence[tuple[str, str]] = ()) -> None:
    """Print all about one session.

    Args:
        report: What the session says of itself.
        next_commands: Commands to type next, and what each is for.
    """
    out.print(safe(f"{report['host']}: ", "bold") + _state(report) + safe(f" since {since(report['since'])}"))
    for name, value in _facts(report):
        out.print(safe(f"  {name + ':':<10} {value}"), soft_wrap=True)
    width = max((len(command) for command, _ in next_commands), default=0)
    for command, why in next_commands:
        out.print(safe(f"  {'next:':<10} {command:<{width}}    ({why})"), soft_wrap=True)


def sessions_table(reports: Iterable[dict[str, Any]]) -> Table:
    """Make a table of sessions, a row each."""
    rows = [
        (
            report["host"],
            _state(report),
            since(report["since"]),
            len(report["workers"]) if "workers" in report else None,
            _tasks(report),
            report.get("scheduler"),
        )
        for report in reports
    ]
    return table(("host", "state", "since", "workers", "tasks", "scheduler"), rows)


def since(moment: float) -> str:
    """Say when something began and how long ago that is, like ``14:02:31 (3 min)``.

    Args:
        moment: Seconds since the epoch.
    """
    seconds = max(0.0, time.time() - moment)
    shown = "%H:%M:%S" if seconds < 12 * 3600 else "%Y-%m-%d %H:%M"
    length, unit = next((each for each in _SPANS if seconds >= each[0]), _SPANS[-1])
    return f"{time.strftime(shown, time.localtime(moment))} ({int(seconds // length)} {unit})"


def describe_event(event: dict[str, Any]) -> str:
    """Say what happened to a process on the host."""
    code = event["code"]
    how = f"exit code {code}"
    if code is not None and code < 0:
        how = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{time.strftime('%H:%M:%S', time.localtime(event['time']))}  {event['name']} died ({how})"


def describe_found(found: dict[str, Any] | None, *, tasks: bool = True) -> Iterable[str]:
    """Say what a session found on the host when it came: what went on meanwhile, or what became of it.

    Args:
        found: What it found.
        tasks: Whether to say what Dask's tasks came to: that of runs is told better otherwise.
    """
    if found is None:
        return
    began = since(found["since"])
    if "kind" in found:
        ended = f"{'it lived still at ' if found['kind'] == 'died' else ''}{since(found['ended'])}"
        yield f"what ran there since {began} is gone, and was started afresh: {found['text']}; {ended}"
        return
    yield f"scheduler and workers that are there since {began}"
    if found["alone_since"] is not None:
        until = found["alone_until"]
        long = f", for {in_words(until - found['alone_since'])}" if until else ""
        counts = {"finished": found["finished"], "failed": found["erred"]} if tasks else {}
        done = ", ".join(f"{count:,} {how}" for how, count in counts.items() if count)
        yield f"nobody was connected since {since(found['alone_since'])}{long}" + (f"; tasks: {done}" if done else "")
        events = found["events"]
        if len(events) > SHOWN_EVENTS:
            yield f"{len(events) - SHOWN_EVENTS:,} earlier ones are left out:"
        for event in events[-SHOWN_EVENTS:]:
            yield f"{since(event['time'])}: {event['what']}"


def describe_away(away: dict[str, Any]) -> Iterable[str]:
    """Say how the link was while a session lived on, and what died on the host.

    Args:
        away: What the session says of that.
    """
    if last := away["last"]:
        long = last["ended"] - last["began"]
        if away["count"] == 1:
            yield f"the link was away once, at {since(last['began'])}, for {in_words(long)}: {last['reason']}"
        else:
            yield (
                f"the link was away {away['count']:,} times since {since(away['since'])}, for "
                f"{in_words(away['seconds'])} in all; the last time for {in_words(long)}: {last['reason']}"
            )
    deaths = away["deaths"]
    if len(deaths) > SHOWN_EVENTS:
        yield f"{len(deaths) - SHOWN_EVENTS:,} processes died there before these:"
    for death in deaths[-SHOWN_EVENTS:]:
        yield describe_event(death)


def in_words(seconds: float) -> str:
    """Say how long something took, like ``1.5 h`` or ``40 s``."""
    for length, unit in _SPANS:
        if seconds >= length > 1:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def describe_outage(outage: dict[str, Any]) -> str:
    """Say when a host could not be reached, for how long, and why."""
    began = time.strftime("%H:%M:%S", time.localtime(outage["began"]))
    if outage["ended"] is None:
        return f"{began} until now: {outage['reason']}"
    return f"{began} for {outage['ended'] - outage['began']:.0f} s: {outage['reason']}"


def _state(report: dict[str, Any]) -> Any:
    return safe(report["state"], _STATES.get(report["state"], "red"))


def _facts(report: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if "python" in report:
        version = ".".join(map(str, report["python"]["version"]))
        yield "host", f"{report['hostname']}, Python {version} ({report['python']['executable']})"
    if "workers" in report:
        said = f"; {report['said']}" if report["said"] else ""
        yield "workers", _workers(report) + said
        yield "tasks", _tasks(report) or "unknown: the scheduler does not answer now"
        yield "scheduler", f"{report['scheduler']}, there {report['scheduler_there']}"
        yield "dashboard", report["dashboard"]
    news = report.get("news")
    for line in describe_found(report.get("found"), tasks=not (news and news["since"])):
        yield "found", line
    for line in describe_away(report["away"]) if "away" in report else ():
        yield "meanwhile", line
    if news:
        for line in news_in_words(news, since(news["since"]) if news["since"] else ""):
            yield "runs", line
    if report["state"] == "waiting for you":
        yield "waits", f"for an answer: simmate-remote connect {report['host']} asks for it"
    if report.get("lasting") is False:
        yield "lasts", "as long as the program that made it"
    for warning in report.get("warnings", ()):
        yield "warning", warning
    if "away" not in report:  # otherwise what is new of these has been said
        for event in report.get("events", ())[-SHOWN_EVENTS:]:
            yield "event", describe_event(event)
        for outage in report.get("outages", ())[-SHOWN_OUTAGES:]:
            yield "outage", describe_outage(outage)
    if report["error"]:
        yield "error", error_from_dict(report["error"]).what


def _workers(report: dict[str, Any]) -> str:
    kinds = Counter((each["threads"], each["memory"]) for each in report["workers"])
    return (
        ", ".join(
            f"{count} with {threads} thread{'s' if threads > 1 else ''}" + (f" and {decimal(memory)}" if memory else "")
            for (threads, memory), count in kinds.items()
        )
        or "none"
    )


def _tasks(report: dict[str, Any]) -> str | None:
    tasks = report.get("tasks")
    if tasks is None:
        return None
    words = {"processing": "running", "waiting": "waiting", "memory": "done", "erred": "failed"}
    return ", ".join(f"{tasks[name]} {word}" for name, word in words.items() if tasks[name]) or "none"
