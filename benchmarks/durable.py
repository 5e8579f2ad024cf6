"""What it costs that a run on a host is durable, beside a bare task, at 10,000 at once; and its memory here."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.clients import living_cluster, run_client
from benchmarks.lab_host import lab_host
from benchmarks.pairs import Comparison, Figure, compare
from benchmarks.workflows import FLOW, MEMORY
from tests.lab import Lab

MANY = 10_000
ONE_BY_ONE = 500


def measure(lab: Lab, runs: int) -> list[Comparison | Figure]:
    """Compare durable runs with tasks on one living cluster."""
    host = lab_host(lab)
    with tempfile.TemporaryDirectory() as folder, living_cluster(host) as (ours, _):
        Path(folder, "flow.py").write_text(FLOW)
        start = [
            "from simmate_remote.inventory import Host",
            "from simmate_remote.session.desk import Desk",
            f"sys.path.insert(0, {folder!r})",
            "from flow import add_one",
            f"desk = Desk(Host.model_validate_json({host.model_dump_json()!r}))",
            "desk.open()",
            "add_one.submit(on=desk, x=1).result()",
        ]

        def durable(count: int, submit: str) -> list[str]:
            return [
                *start,
                "start = time.perf_counter()",
                f"handles = {submit}",
                f"assert [each.result() for each in handles] == list(range(1, {count} + 1))",
                f"measured = 1000 * (time.perf_counter() - start) / {count}",
            ]

        def bare(count: int) -> list[str]:
            return [
                "client.submit(lambda x: x, 1).result()",
                "start = time.perf_counter()",
                f"futures = [client.submit(lambda x: x + 1, x, pure=False) for x in range({count})]",
                f"assert client.gather(futures) == list(range(1, {count} + 1))",
                f"measured = 1000 * (time.perf_counter() - start) / {count}",
            ]

        at_once = durable(MANY, f"add_one.map([dict(x=x) for x in range({MANY})], on=desk)")
        each = durable(ONE_BY_ONE, f"[add_one.submit(on=desk, x=x) for x in range({ONE_BY_ONE})]")
        memory = [*at_once[:-1], *MEMORY, "measured = resident()"]
        return [
            compare(
                f"durable runs, {MANY:,} at once",
                lambda: run_client(at_once, ours),
                lambda: run_client(bare(MANY), ours),
                runs=max(1, runs // 4),
                unit="ms",
                what="client.submit",
                at_most=1.0,
                allowance=5.0,
            ),
            compare(
                f"durable runs, {ONE_BY_ONE:,} submitted one by one",
                lambda: run_client(each, ours),
                lambda: run_client(bare(ONE_BY_ONE), ours),
                runs=max(1, runs // 2),
                unit="ms",
                what="client.submit",
                at_most=1.0,
                allowance=5.0,
            ),
            Figure(
                f"memory of the process that submitted {MANY:,} durable runs", run_client(memory, ours), "MB", 250.0
            ),
        ]
