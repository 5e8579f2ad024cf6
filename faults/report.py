"""The matrix in Markdown, with its introduction."""

from __future__ import annotations

import datetime as dt
import math
import os
import platform
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from faults.fault import Fault
from faults.observation import Observation

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/faults.md"
FEW = 4
NONE = "–"  # noqa: RUF001 - a dash in a table
INTRODUCTION = """\
# The fault matrix

What breaks between here and a host, and what becomes of the work. `make faults` lets each fault happen in the lab
(`tests/lab/README.md`: a real sshd behind a firewall, {round_trip:g} ms away) and writes this page.
The short form, `tests/test_faults.py`, is part of `make test`. `python -m faults --only WORDS` runs a part.

**The work.** When the fault comes, a user's process with `connect(host)` has

- 200 tasks in flight; each leaves a line on the host when it starts, so one that is started twice is counted;
- a `gather` of 96 MB of which half is here, and a `scatter` of 8 MB the other way;
- the dashboard open: a websocket through its gate, on which the scheduler must tell of every task exactly once;
- an echo in the reverse direction: the host sends to a socket of this machine that was lent to it, and compares.

Every byte is compared with what it must be. Long faults run three at a time, each in a lab of its own.

**First byte.** The scheduler sends its clock every 20 ms. The time runs from the moment at which the way is possible
again until the first of these that was sent after the break arrives in the user's process. Where the network itself
stays (a killed sshd, a silent drop, a new address) that moment is the fault, so the time in which the loss is noticed
is part of the figure; the keepalive is 2 s, twice.

{machine}; the {link} link.

"""
UNHARMED = """\
## Nothing may be lost

| fault | times | cancelled | bytes wrong | tasks run twice | errors | first byte | as it must be |
|---|---|---|---|---|---|---|---|
"""
TOLD = """\

## What nothing could save

Dask's own memory, or the end of a TCP connection, is gone: everybody who waits hears of it within 10 s and exactly,
nothing stays behind, and the next `connect` works. A call whose bytes are on their way at that moment gets Dask's own
`CommClosedError`, one whose connection is just being made a `FatalCommClosedError`: Dask asks nobody before it raises
them.

| fault | times | what who waits is told | after | tasks run twice | next `connect` | as it must be |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One fault, and what its repetitions showed.

    Args:
        fault: What happened.
        title: Its name in full.
        observations: One for each repetition.
    """

    fault: Fault
    title: str
    observations: Sequence[Observation]


def document(rows: Iterable[Row], link: str, round_trip: float) -> str:
    """Write the page.

    Args:
        rows: The faults, in order.
        link: The kind of link.
        round_trip: Milliseconds of the lab's network.
    """
    machine = (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, Python "
        f"{platform.python_version()}, distributed {version('distributed')}"
    )
    return INTRODUCTION.format(round_trip=round_trip, machine=machine, link=link) + tables(rows)


def tables(rows: Iterable[Row]) -> str:
    """Write the two tables."""
    rows = list(rows)
    unharmed = "".join(_unharmed(row) for row in rows if row.fault.told is None)
    told = "".join(_told(row) for row in rows if row.fault.told is not None)
    return (UNHARMED + unharmed if unharmed else "") + (TOLD + told if told else "")


def _unharmed(row: Row) -> str:
    seen = row.observations
    first = [each.first_byte for each in seen if each.first_byte is not None]
    errors = sum((Counter(each.errors) for each in seen), Counter[str]())
    cells = [
        row.title,
        len(seen),
        sum(each.cancelled for each in seen),
        sum(each.wrong for each in seen),
        sum(each.again or 0 for each in seen),
        errors.total(),
        spread(first),
        _verdict(row),
    ]
    return _line(cells)


def _told(row: Row) -> str:
    seen = row.observations
    words = sorted({error for each in seen for error in each.errors})
    after = [each.told_after for each in seen if each.told_after is not None]
    recovery = [each.recovery for each in seen if each.recovery is not None]
    again = [each.again for each in seen if each.again is not None]
    cells = [
        row.title,
        len(seen),
        "; ".join(words),
        spread(after),
        sum(again) if again else NONE,
        spread(recovery),
        _verdict(row),
    ]
    return _line(cells)


def spread(seconds: Sequence[float]) -> str:
    """Say median and 95th percentile of many figures, the largest of a few."""
    if not seconds:
        return NONE
    if len(seconds) <= FEW:
        return f"at most {max(seconds):.2f} s"
    rank = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    return f"{statistics.median(seconds):.2f} s, p95 {rank:.2f} s"


def _verdict(row: Row) -> str:
    failed = sum(bool(each.violations) for each in row.observations)
    return "yes" if not failed else f"**no**, {failed} times"


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"
