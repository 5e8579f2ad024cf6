"""``python -m faults``: run the fault matrix in the lab and write docs/faults.md; options make it a part of it."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from chaos.report import section
from faults.fault import Fault
from faults.network_faults import ROUND_TRIP
from faults.observation import Observation
from faults.registry import NOTHING_LOST, TOLD
from faults.report import DOCUMENT, Row, document, tables
from faults.runner import conditions, lab_place, observe
from tests.lab import Lab

SHORT_RUNS = 20
LONG_RUNS = 3
LONG = 40.0
"""Seconds from which on a fault counts as long: its repetitions run side by side, in labs of their own."""


def main() -> int:
    """Run what the command line says, and return the exit status: 1 if anything was not as it must be."""
    options = _parser().parse_args()
    if missing := Lab.missing():
        print(f"the lab cannot be had: {missing[0]}; this would enable it: {missing[1]}", file=sys.stderr)
        return 1
    rows = []
    for fault in (*NOTHING_LOST, *TOLD):
        seconds = fault.quick_seconds if options.quick else fault.seconds
        title = fault.title(seconds)
        if options.only.lower() not in title.lower() or (fault.seconds and not seconds):
            continue
        runs = options.runs or (1 if options.quick else LONG_RUNS if seconds >= LONG else SHORT_RUNS)
        rows.append(Row(fault, title, _run(fault, title, options.link, seconds, runs)))
    if options.only or options.quick:
        print(tables(rows))
    else:
        DOCUMENT.write_text(document(rows, options.link, ROUND_TRIP) + section())
        print(f"written: {DOCUMENT}", file=sys.stderr)
    return int(any(each.violations for row in rows for each in row.observations))


def _run(fault: Fault, title: str, link: str, seconds: float, runs: int) -> list[Observation]:
    if seconds < LONG:
        return _run_in_turn(fault, title, link, seconds, runs)
    with ThreadPoolExecutor(runs) as pool:
        parts = [pool.submit(_run_in_turn, fault, title, link, seconds, 1) for _ in range(runs)]
        return [each for part in parts for each in part.result()]


def _run_in_turn(fault: Fault, title: str, link: str, seconds: float, runs: int) -> list[Observation]:
    found: list[Observation] = []
    with lab_place(link) as place, conditions(fault, place, seconds):
        for number in range(1, runs + 1):
            start = time.monotonic()
            found.append(observe(fault, place, seconds))
            _tell(f"{title}, {number} of {runs}: {_in_words(found[-1])} ({time.monotonic() - start:.0f} s)")
            if found[-1].violations:
                _tell(place.evidence())
    return found


def _in_words(found: Observation) -> str:
    parts = found.violations or ["as it must be"]
    if found.first_byte is not None:
        parts = [*parts, f"first byte after {found.first_byte:.2f} s"]
    if found.told_after is not None:
        parts = [*parts, f"told after {found.told_after:.2f} s"]
    return "; ".join(parts)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="only faults with these words in their name")
    parser.add_argument("--runs", type=int, help=f"repetitions; default: {SHORT_RUNS}, of long ones {LONG_RUNS}")
    parser.add_argument("--quick", action="store_true", help="each fault once, with short times")
    parser.add_argument("--link", choices=["asyncssh", "openssh"], default="asyncssh", help="the kind of link")
    return parser


if __name__ == "__main__":
    sys.exit(main())
