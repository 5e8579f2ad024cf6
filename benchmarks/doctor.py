"""``doctor`` of a healthy host: seconds until its prompt is back, and the logins that it takes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.pairs import Figure
from tests.lab import Lab


def measure(lab: Lab, runs: int) -> list[Figure]:
    """Measure the command as it is typed, every check included."""
    program = str(Path(sys.executable).with_name("simmate-remote"))
    environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(lab.inventory)}
    mark = lab.mark()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(
            [program, "doctor", "lab-box"],
            check=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        seconds.append(time.perf_counter() - start)
    return [
        Figure("doctor of a healthy host, median", statistics.median(seconds), "s", at_most=5),
        Figure("SSH logins of a doctor", lab.logins(mark) / runs, "", at_most=1),
    ]
