"""What an idle session costs: resident memory and processor time, here and on the host, over a minute."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.lab_host import end_session, lab_host
from benchmarks.pairs import Figure
from simmate_remote import connect
from simmate_remote.inventory import Host
from simmate_remote.session.client import find
from tests.hosts import pid_there
from tests.lab import Lab

SETTLING = 10.0
PERIOD = 60.0


def measure(lab: Lab, runs: int) -> list[Figure]:
    """Look at the processes of a session that is left alone, for a minute, however many runs are wanted."""
    del runs
    host = lab_host(lab)
    with connect(host) as connection:
        connection.client.wait_for_workers(2)
    try:
        session = [asyncio.run(_pid(host))]
        # All that the keeper has started are forks of it, and have its command line.
        known = {pid_there(host, name) for name in ("guardian", "keeper")}
        keeper = [process.outside_pid for process in lab.box.processes() if process.seen.pid in known]
        time.sleep(SETTLING)
        before = [_processor_seconds(each) for each in (session, keeper)]
        time.sleep(PERIOD)
        after = [_processor_seconds(each) for each in (session, keeper)]
        used = [100 * (late - early) / PERIOD for early, late in zip(before, after, strict=True)]
        return [
            Figure("idle session process, memory", memory(session), "MB", at_most=100),
            Figure("idle session process, of a core", used[0], "%", at_most=0.2),
            Figure("idle keeper and its guardian, memory", memory(keeper), "MB", at_most=25),
            Figure("idle keeper and its guardian, of a core", used[1], "%", at_most=0.2),
        ]
    finally:
        end_session(host)


def memory(pids: Iterable[int]) -> float:
    """Add up what is resident of processes in MB, what several share divided among them: ``Pss``, proc(5)."""
    lines = [line.split() for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line[1]) for line in lines if line[0] == "Pss:") * 1024 / 1e6


def _processor_seconds(pids: Iterable[int]) -> float:
    """Add up the processor time of processes: ``utime`` and ``stime``, proc(5)."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


async def _pid(host: Host) -> int:
    session = await find(host)
    try:
        return int((await session.status())["pid"])
    finally:
        session.close()
        await session.wait_closed()
