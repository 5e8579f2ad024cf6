"""10,000 trivial tasks by ``map`` and ``gather``: through the tunnel, and dialled directly where the scheduler is."""

from __future__ import annotations

from benchmarks.clients import living_cluster, run_client
from benchmarks.lab_host import lab_host
from benchmarks.pairs import Comparison, compare
from tests.lab import Lab

TASKS = 10_000
BODY = [
    "client.gather(client.map(lambda x: x + 1, range(100), pure=False))",
    "start = time.perf_counter()",
    f"total = sum(client.gather(client.map(lambda x: x + 1, range({TASKS}), pure=False)))",
    "seconds = time.perf_counter() - start",
    f"assert total == {TASKS * (TASKS + 1) // 2}",
    f"measured = {TASKS} / seconds",
]


def measure(lab: Lab, runs: int) -> list[Comparison]:
    """Compare the two, on one living cluster."""
    inside = ["nsenter", f"--target={lab.box.init_pid}", "-n"]
    with living_cluster(lab_host(lab)) as (ours, there):
        return [
            compare(
                f"{TASKS:,} trivial tasks",
                lambda: run_client(BODY, ours),
                lambda: run_client(BODY, there, inside),
                runs=runs,
                unit="/s",
                what="the same cluster dialled directly",
                at_least=0.85,
            )
        ]
