"""What a ShellTask costs beside its program: around ``true``, and many short programs on few slots."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pairs import Comparison, Figure, compare
from simmate_remote.workflows.shell import ShellTask
from simmate_remote.workflows.shell.slots import VARIABLE
from tests.lab import Lab

REPETITIONS = 50
TASKS = 1000
SECONDS = 0.2
SLOTS = 2
THREADS = 4
SHARE = 0.9
"""Of the ideal time, as it must be spent in the programs."""


def measure(_: Lab, runs: int) -> list[Comparison | Figure]:
    """Measure both; the lab has no part in it."""
    with _folder() as folder:
        names = map(str, itertools.count())
        nothing = ShellTask[None](command="true")

        def ours() -> float:
            return _each(lambda: nothing.run(folder / next(names)))

        around = compare(
            "a ShellTask around `true`",
            ours,
            lambda: _each(lambda: subprocess.run(["true"], check=True)),
            runs=runs,
            unit="ms",
            what="`subprocess.run`",
            at_most=1.0,
            allowance=20.0,
        )
    ideal = TASKS * SECONDS / SLOTS
    many = Figure(f"{TASKS:,} ShellTasks of {SECONDS} s on {SLOTS} slots", _many(), "s", at_most=ideal / SHARE)
    return [around, many]


def _each(action: object) -> float:
    assert callable(action)
    began = time.perf_counter()
    for _ in range(REPETITIONS):
        action()
    return (time.perf_counter() - began) / REPETITIONS * 1000


def _many() -> float:
    cores = sorted(os.sched_getaffinity(0))[:SLOTS]
    task = ShellTask[None](command=("sleep", str(SECONDS)))
    with (
        _folder() as folder,
        ThreadPoolExecutor(THREADS, initializer=lambda: os.sched_setaffinity(0, cores)) as pool,
    ):
        began = time.perf_counter()
        list(pool.map(lambda number: task.run(folder / str(number)), range(TASKS)))
        return time.perf_counter() - began


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder for tasks, and slots that nobody else uses."""
    folder = Path(tempfile.mkdtemp(prefix="shell-task-"))
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder / "slots")
    try:
        yield folder
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before
        shutil.rmtree(folder)
