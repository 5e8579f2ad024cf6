"""Clusters in processes of their own, which can import nothing of what a test has written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import sys
from distributed import LocalCluster
workers, threads = map(int, sys.argv[1:])
with LocalCluster(
    n_workers=workers, threads_per_worker=threads, host="127.0.0.1", dashboard_address=":0"
) as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def cluster_elsewhere(folder: Path, workers: int = 2, threads: int = 2) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a cluster of workers with so many threads each, in another folder than this process's.

    Yields:
        The scheduler's address, and the process that started it all.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(workers), str(threads)],
        cwd=folder,
        env={
            **os.environ,
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            "DASK_TEMPORARY_DIRECTORY": str(folder),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            # A nanny that has just restarted its worker sometimes waits for ever when the cluster closes.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
