"""``runs list`` over 100,000 runs: its first page beyond the program's start, and the memory of a whole list."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.pairs import Figure
from simmate_remote.database.configuration import Configuration
from simmate_remote.database.plain import open_plain
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.identity import new_id
from tests.databases import end_database
from tests.lab import Lab

RUNS = 100_000
FEW = 1_000
AT_ONCE = 3_000
"""Lines that are collected at once."""

IMPORTS = """
import resource, sys, time
from simmate_remote.cli import runs  # noqa: F401 - all that the command imports
import psycopg  # noqa: F401
start = time.perf_counter()
from simmate_remote.cli.app import main
sys.argv = ["simmate-remote", "runs", "list"]
try:
    main()
finally:
    print(time.perf_counter() - start, file=sys.stderr)
"""


def measure(_: Lab, runs: int) -> list[Figure]:
    """Measure both, in an embedded database of their own; the lab is not needed."""
    with tempfile.TemporaryDirectory(prefix="list-", dir="/tmp") as folder:
        data = Path(folder)
        (data / "run").mkdir(mode=0o700)
        variables = {"XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_RUNTIME_DIR": f"{folder}/run"}
        environment = {**os.environ, **variables}
        database = data / "simmate-remote" / "database"
        try:
            _fill(database, FEW)
            few = _memory(environment)
            filling = _fill(database, RUNS - FEW)
            many = _memory(environment)
            pages = [_page(environment) for _ in range(runs)]
            whole = [_started(environment) for _ in range(runs)]
        finally:
            end_database(data)
    return [
        Figure(f"first page of {RUNS:,} runs, median", 1000 * statistics.median(pages), "ms", at_most=150),
        Figure("`runs list` from start to end, median", statistics.median(whole), "s", at_most=0.55),
        Figure(f"memory of `runs --json` of {RUNS:,} runs against {FEW:,}", many / few, "", at_most=1.1),
        Figure(f"rows of 1,000 finished runs from their lines, of {RUNS:,}", filling, "s"),
    ]


def _fill(database: Path, count: int) -> float:
    """Collect so many finished runs, and give the seconds for a thousand."""
    plain = open_plain(Configuration("embedded", "", "here", None, 300.0, "the benchmark", database))
    collector = Collector(plain, Source("of-the-benchmark", "lab-box", "lab-box", "/home/me/runs"))
    position = collector.begin()
    start = time.perf_counter()
    lines = [line for number in range(count) for line in _story(number)]
    for first in range(0, len(lines), AT_ONCE):
        some = lines[first : first + AT_ONCE]
        position = collector.take(position, position + 300 * len(some), some)
    taken = time.perf_counter() - start
    plain.change("ANALYZE")  # as Postgres does by itself within a minute; nobody has so many runs in one
    plain.close()
    return taken / count * 1000


def _story(number: int) -> Iterator[dict[str, Any]]:
    run, now = new_id(), time.time()
    folder = f"/home/me/simmate-remote/runs/{run}"
    yield {
        "time": now, "run": run, "event": "created", "workflow": f"relax-{number % 7}", "folder": folder, "limit": 5,
        "parameters": {"structure": "Si.cif", "number": number}, "versions": {"python": "3.11.2"}, "started_by": "me",
    }  # fmt: skip
    yield {"time": now, "run": run, "event": "started", "attempt": 1, "worker": "worker-0", "node": "lab", "pid": 7}
    end = {"event": "finished", "result": {"energy": -1.5}, "result_pickle": "gAQu" * 50, "result_size": 150}
    if number % 10 == 0:
        end = {"event": "failed", "error_type": "ValueError", "error": "no convergence", "traceback": "…\n" * 20}
    yield {"time": now, "run": run, "attempt": 1, "seconds": 3.0, "cpu_seconds": 2.9, "worker": "worker-0", **end}


def _page(environment: dict[str, str]) -> float:
    """Give how long the first page takes in a process that has imported everything."""
    words = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return float(done.stderr.split()[-1])


def _started(environment: dict[str, str]) -> float:
    program = str(Path(sys.executable).with_name("simmate-remote"))
    start = time.perf_counter()
    subprocess.run([program, "runs", "list"], env=environment, check=True, capture_output=True, timeout=60)
    return time.perf_counter() - start


def _memory(environment: dict[str, str]) -> float:
    """Give the most memory that a list of all runs takes."""
    program = str(Path(sys.executable).with_name("simmate-remote"))
    measuring = (
        "import json, resource, subprocess, sys\n"
        f"subprocess.run([{program!r}, 'runs', '--json'], check=True, stdout=subprocess.DEVNULL)\n"
        "print(json.dumps(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
    )
    words = [sys.executable, "-c", measuring]
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True, timeout=600)
    return float(json.loads(done.stdout))
