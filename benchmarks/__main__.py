"""``python -m benchmarks``: run every benchmark in the lab and print the table; ``--runs`` for more or fewer pairs."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial

import asyncssh
import distributed

from benchmarks import (
    adopt,
    calls,
    cold_connect,
    coming_back,
    database,
    doctor,
    durable,
    files,
    idle,
    lab_host,
    logins,
    outage,
    raw,
    runs_list,
    setup,
    shell_task,
    tasks,
    workflows,
)
from benchmarks.pairs import Comparison, Figure, table
from tests.lab import Lab

BENCHMARKS: dict[str, Callable[[Lab, int], Sequence[Comparison | Figure]]] = {
    "connect": cold_connect.measure,
    "tasks": tasks.measure,
    "shell-task": shell_task.measure,
    "logins": logins.measure,
    "bulk": partial(raw.measure_bulk, delay=0),
    "bulk-50": partial(raw.measure_bulk, delay=50),
    "byte": raw.measure_round_trip,
    "submit": calls.measure_submit,
    "gather": partial(calls.measure_gather, delay=0),
    "gather-50": partial(calls.measure_gather, delay=50),
    "adopt": adopt.measure,
    "idle": idle.measure,
    "outage": outage.measure,
    "push": partial(files.measure, delay=0),
    "push-50": partial(files.measure, delay=50),
    "doctor": doctor.measure,
    "setup": setup.measure,
    "workflows": workflows.measure,
    "durable": durable.measure,
    "runs-list": runs_list.measure,
    "coming-back": coming_back.measure,
    "database": database.measure,
}


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="pairs that count, for each benchmark")
    parser.add_argument("--only", choices=list(BENCHMARKS), action="append", help="run this one; may be repeated")
    parser.add_argument("--link", choices=lab_host.LINKS, default=lab_host.LINKS[0], help="the kind of link of ours")
    options = parser.parse_args()
    if missing := Lab.missing():
        sys.exit(f"the lab cannot be had: {missing[0]}; this would enable it: {missing[1]}")
    lab_host.use_link(options.link)
    found: list[Comparison | Figure] = []
    # What is recorded of the runs here is not to stand between those of whoever measures.
    with database.own_folder(), Lab.up() as lab:
        for name in options.only or BENCHMARKS:
            found += BENCHMARKS[name](lab, options.runs)
    print(
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, distributed {distributed.__version__}, asyncssh {asyncssh.__version__}, "
        f"link: {options.link}\n"
    )
    print(table(found))


if __name__ == "__main__":
    main()
