"""What a workflow costs beside a bare task of Dask's, at 1,000 at once; and what 10,000 of them cost in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.clients import living_cluster, run_client
from benchmarks.lab_host import lab_host
from benchmarks.pairs import Comparison, Figure, compare
from tests.lab import Lab

AT_ONCE = 1_000
MANY = 10_000
MEGABYTE = 1e6

FLOW = """
from simmate_remote import workflow

@workflow
def add_one(x: int) -> int:
    return x + 1
"""

MEMORY = [
    "import gc",
    "def resident(pid='self'):",
    "            pages = open(f'/proc/{pid}/statm').read().split()[1]",
    "            return int(pages) * os.sysconf('SC_PAGE_SIZE') / 1e6",
]


def measure(lab: Lab, runs: int) -> list[Comparison | Figure]:
    """Compare workflows with tasks on one living cluster, and look at the memory of both ends."""
    with tempfile.TemporaryDirectory() as folder, living_cluster(lab_host(lab)) as (ours, _):
        Path(folder, "flow.py").write_text(FLOW)
        start = ["from distributed import get_client", f"sys.path.insert(0, {folder!r})", "from flow import add_one"]
        flows = [
            *start,
            "add_one.submit(on=client, x=1).result()",
            "start = time.perf_counter()",
            f"handles = add_one.map([dict(x=x) for x in range({AT_ONCE})], on=client)",
            f"assert [each.result() for each in handles] == list(range(1, {AT_ONCE} + 1))",
            f"measured = 1000 * (time.perf_counter() - start) / {AT_ONCE}",
        ]
        bare = [
            "client.submit(lambda x: x, 1).result()",
            "start = time.perf_counter()",
            f"futures = [client.submit(lambda x: x + 1, x, pure=False) for x in range({AT_ONCE})]",
            f"assert [each.result() for each in futures] == list(range(1, {AT_ONCE} + 1))",
            f"measured = 1000 * (time.perf_counter() - start) / {AT_ONCE}",
        ]
        memory = [
            *start,
            *MEMORY,
            f"handles = add_one.map([dict(x=x) for x in range({MANY})], on=client)",
            "for each in handles: each.outcome()",
            "measured = resident()",
        ]
        growth = [
            *start,
            *MEMORY,
            "sizes = lambda: sum(client.run(lambda: (gc.collect(), resident())[1]).values())",
            f"warm = [each.outcome() for each in add_one.map([dict(x=x) for x in range({MANY // 5})], on=client)]",
            "before = sizes()",
            f"done = [each.outcome() for each in add_one.map([dict(x=x) for x in range({MANY})], on=client)]",
            "measured = sizes() - before",
        ]
        return [
            compare(
                f"a workflow, {AT_ONCE:,} at once",
                lambda: run_client(flows, ours),
                lambda: run_client(bare, ours),
                runs=runs,
                unit="ms",
                what="client.submit",
                at_most=1.0,
                allowance=5.0,
            ),
            Figure(f"memory of the process that submitted {MANY:,} workflows", run_client(memory, ours), "MB", 250.0),
            Figure(f"growth of two workers by {MANY:,} workflows", run_client(growth, ours), "MB", 20.0),
        ]
