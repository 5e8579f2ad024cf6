"""``python -m chaos``: play chaos in the lab, once for each seed, and write its section of docs/faults.md."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from chaos.plan import Plan, short
from chaos.play import play_in_lab
from chaos.report import put_section, table
from faults.network_faults import ROUND_TRIP
from tests.lab import Lab


def main() -> int:
    """Play what the command line says, and return the exit status: 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs of each play")
    parser.add_argument("--seed", type=int, action="append", help="play this one; may be repeated; default: 1 to 5")
    parser.add_argument("--at-once", type=int, default=1, help="plays at once, each with a lab of its own")
    parser.add_argument("--quick", action="store_true", help="40 short runs, and nothing is written")
    options = parser.parse_args()
    if missing := Lab.missing():
        print(f"the lab cannot be had: {missing[0]}; this would enable it: {missing[1]}", file=sys.stderr)
        return 1
    plans = [
        short(seed) if options.quick else replace(Plan(seed), runs=options.runs) for seed in options.seed or range(1, 6)
    ]
    with ProcessPoolExecutor(options.at_once, multiprocessing.get_context("spawn")) as pool:
        played = list(pool.map(play_in_lab, plans))
    for each in played:
        for name, found in each.reckoning.violations.items():
            print(f"seed {each.plan.seed}, {name}:", *found, sep="\n  ", file=sys.stderr)
    if options.quick:
        print(table(played))
    else:
        put_section(played, ROUND_TRIP)
    return int(any(each.reckoning.violations for each in played))


if __name__ == "__main__":
    sys.exit(main())
