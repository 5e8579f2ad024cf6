"""Paired runs: two ways of doing one thing, measured in turn, so that whatever else the machine does hits both."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """What a benchmark found.

    Args:
        name: What was measured.
        unit: Of the medians.
        ours: Median of our runs.
        theirs: Median of the runs that ours are compared with.
        ratio: Median of ours / median of theirs.
        wanted: What the ratio must reach, in words.
        reached: Whether it does.
        runs: How many pairs.
        what: What "theirs" is.
    """

    name: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    wanted: str
    reached: bool
    runs: int
    what: str


@dataclass(frozen=True)
class Figure:
    """Something that is measured alone.

    Args:
        name: What it is.
        value: How much.
        unit: Of the value.
        at_most: It must be no larger; None: it is only told.
    """

    name: str
    value: float
    unit: str
    at_most: float | None = None


def compare(
    name: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    runs: int,
    unit: str,
    what: str,
    at_most: float | None = None,
    at_least: float | None = None,
    allowance: float = 0.0,
) -> Comparison:
    """Measure both in turn, the first pair uncounted, and compare the medians.

    Args:
        name: What is measured.
        ours: Measures once and gives the number.
        theirs: The same for what ours is compared with.
        runs: How many pairs count.
        unit: Of the numbers.
        what: What "theirs" is.
        at_most: The ratio must be no larger.
        at_least: The ratio must be no smaller.
        allowance: What ours may have on top before the ratio counts, in the unit.
    """
    pairs = []
    for number in range(runs + 1):
        pair = (ours(), theirs())
        print(f"  {name}: {pair[0]:.3f} against {pair[1]:.3f} {unit}", file=sys.stderr, flush=True)
        if number:
            pairs.append(pair)
    mine, others = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = (mine - allowance) / others
    wanted = f"≤ {at_most:g}" if at_most is not None else f"≥ {at_least:g}"
    if allowance:
        wanted += f", {allowance:g} {unit} taken off"
    reached = ratio <= at_most if at_most is not None else ratio >= (at_least or 0)
    return Comparison(name, unit, mine, others, ratio, wanted, reached, runs, what)


def table(found: list[Comparison | Figure]) -> str:
    """Give what was found as tables in Markdown."""
    comparisons = [each for each in found if isinstance(each, Comparison)]
    figures = [each for each in found if isinstance(each, Figure)]
    lines = []
    if comparisons:
        lines += ["| what | ours | compared with | that | ratio | wanted | reached | pairs |", "|" + "---|" * 8]
    lines += [
        f"| {each.name} | {each.ours:.3g} {each.unit} | {each.what} | {each.theirs:.3g} {each.unit} "
        f"| {each.ratio:.2f} | {each.wanted} | {_yes(each.reached)} | {each.runs} |"
        for each in comparisons
    ]
    if figures:
        lines += ["", "| what | found | wanted | reached |", "|" + "---|" * 4]
    lines += [
        f"| {each.name} | {each.value:.3g} {each.unit} | | |"
        if each.at_most is None
        else f"| {each.name} | {each.value:.3g} {each.unit} | ≤ {each.at_most:.3g} {each.unit} "
        f"| {_yes(each.value <= each.at_most)} |"
        for each in figures
    ]
    return "\n".join(lines)


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"
