"""Adopting a living session: ``connect`` until its prompt is back, when only the host still has something."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.lab_host import end_session, lab_host
from benchmarks.pairs import Comparison, compare
from simmate_remote import connect
from simmate_remote.inventory import Host
from simmate_remote.session.client import find
from tests.lab import Lab

ALLOWANCE = 0.5
"""Seconds that are ours whatever the network is."""


def measure(lab: Lab, runs: int) -> list[Comparison]:
    """Compare with ``ssh lab-box true``; before each run the session here is ended, and what is there goes on."""
    host = lab_host(lab)
    with connect(host) as connection:
        connection.client.wait_for_workers(2)
    program = str(Path(sys.executable).with_name("simmate-remote"))
    environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(lab.inventory)}

    def ours() -> float:
        asyncio.run(_leave(host))
        return _seconds([program, "connect", "lab-box"], environment)

    try:
        return [
            compare(
                "connect again to what is there",
                ours,
                lambda: login_seconds(lab),
                runs=runs,
                unit="s",
                what="ssh lab-box true",
                at_most=2.0,
                allowance=ALLOWANCE,
            )
        ]
    finally:
        end_session(host)


def login_seconds(lab: Lab) -> float:
    """Measure one login of the ``ssh`` program."""
    return _seconds(["ssh", "-F", str(lab.ssh_config), "lab-box", "true"], dict(os.environ))


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60
    )
    return time.perf_counter() - start


async def _leave(host: Host) -> None:
    session = await find(host)
    await session.stop(end_everything=False)
    session.close()
    await session.wait_closed()
