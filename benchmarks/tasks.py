"""10,000 trivial tasks by ``map`` and ``gather``: through the tunnel, and dialled directly where the scheduler is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from benchmarks.cold_connect import lab_host
from benchmarks.pairs import Comparison, compare
from simmate_remote import connect
from simmate_remote.session.client import find
from tests.lab import Lab

TASKS = 10_000
CLIENT = """
import json, sys, time
import dask
from distributed import Client, Security

def main():
    access = json.loads(sys.stdin.read())
    with Client(access["address"], security=Security(**access["security"]), set_as_default=False) as client:
        client.gather(client.map(lambda x: x + 1, range(100), pure=False))
        start = time.perf_counter()
        assert sum(client.gather(client.map(lambda x: x + 1, range(TASKS), pure=False))) == SUM
        print(time.perf_counter() - start)

if __name__ == "__main__":
    main()
""".replace("TASKS", str(TASKS)).replace("SUM", str(TASKS * (TASKS + 1) // 2))


def measure(lab: Lab, runs: int) -> Comparison:
    """Compare the two, on one living cluster; the clients are processes of their own."""
    host = lab_host(lab)
    with connect(host) as connection:
        connection.client.wait_for_workers(2)
        there = connection.client.scheduler_info()["address"]
        access = asyncio.run(_access(host))
        inside = ["nsenter", f"--target={lab.box.init_pid}", "-n"]
        try:
            return compare(
                f"{TASKS:,} trivial tasks",
                lambda: TASKS / _seconds([], access),
                lambda: TASKS / _seconds(inside, {**access, "address": there}),
                runs=runs,
                unit="/s",
                what="the same cluster dialled directly",
                at_least=0.85,
            )
        finally:
            asyncio.run(_stop(host))


def _seconds(prefix: list[str], access: dict[str, Any]) -> float:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", CLIENT],
        input=json.dumps(access),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
    )
    return float(done.stdout.split()[-1])


async def _access(host: Any) -> dict[str, Any]:
    session = await find(host)
    try:
        return await session.access()
    finally:
        session.close()
        await session.wait_closed()


async def _stop(host: Any) -> None:
    session = await find(host)
    await session.stop(end_everything=True)
    session.close()
    await session.wait_closed()
