"""What plays showed, as a section of the page of faults; the rest of that page is somebody else's."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from chaos.play import Played

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/faults.md"
BEGIN = "<!-- chaos: written by make chaos -->"
INTRODUCTION = """\

## Chaos: runs while everything dies

`make chaos` submits durable runs of 0.1 to 5 s to the lab's host, {round_trip:g} ms away, while at random and all the
time the link is cut, workers, scheduler, keeper, session, database and the user's own program are killed (-9), the
network is down for a minute, and everything of the user's on this machine is killed at once, as by a loss of power. A
third of the runs wait for a program, which outlives a worker that is killed; a tenth are meant to fail. Afterwards of
every run the folder there, the journal and the row here are compared with each other, and with what must be. What is
broken, and in which order, follows from the seed. A batch whose answer never came is submitted again, by a program that
cannot know: so there may be a few more runs than 1,000, and each of them counts. A short form, `tests/test_chaos.py`,
is part of the tests.

{machine}.

"""
HEAD = (
    "| seed | runs | right | lost | wrong | ended twice | two at once | for ever | attempts | unaccounted | left "
    "| faults | time |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def put_section(played: Sequence[Played], round_trip: float) -> None:
    """Write the section, in the place of the one that is there.

    Args:
        played: What was played.
        round_trip: Milliseconds of the lab's network.
    """
    machine = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}"
    text = INTRODUCTION.format(round_trip=round_trip, machine=machine) + table(played)
    page = DOCUMENT.read_text().partition(BEGIN)[0].rstrip()
    DOCUMENT.write_text(f"{page}\n\n{BEGIN}\n{text}")


def section() -> str:
    """Give the section that the page has now, for whoever writes the rest of the page."""
    _, mark, rest = DOCUMENT.read_text().partition(BEGIN)
    return f"\n{mark}{rest}" if mark else ""


def table(played: Iterable[Played]) -> str:
    """Write the table."""
    return HEAD + "".join(_line(each) for each in played)


def _line(played: Played) -> str:
    found = played.reckoning
    given_up = f", {found.given_up} given up after their last attempt" if found.given_up else ""
    cells = [
        played.plan.seed,
        played.plan.runs + found.unanswered,
        f"{found.outcomes}{given_up}",
        *(len(each) for each in (found.lost, found.wrong, found.twice, found.at_once, found.running)),
        found.attempts,
        len(found.unaccounted),
        len(found.left),
        ", ".join(f"{name} {times}" for name, times in sorted(played.faults.items())),
        f"{played.seconds / 60:.1f} min",
    ]
    return "| " + " | ".join(map(str, cells)) + " |\n"
