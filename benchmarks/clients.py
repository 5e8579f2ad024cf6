"""Dask clients as processes of their own, each with its own way to the scheduler of one living cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.lab_host import end_session
from simmate_remote import connect
from simmate_remote.inventory import Host
from simmate_remote.session.client import find

FRAME = """
import json, os, statistics, sys, time
from distributed import Client, Security, wait

def main():
    access = json.loads(sys.stdin.read())
    with Client(access["address"], security=Security(**access["security"])) as client:
        {body}
        print(measured)

if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True)
class Access:
    """How a client reaches the scheduler.

    Args:
        address: Its address.
        security: Arguments of distributed's ``Security``.
    """

    address: str
    security: dict[str, Any]

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.address.rpartition(":")[2])

    def by_port(self, port: int) -> Access:
        """Give the same through another port of this machine."""
        return Access(f"tls://127.0.0.1:{port}", self.security)


@contextlib.contextmanager
def living_cluster(host: Host) -> Iterator[tuple[Access, Access]]:
    """Have a cluster with two workers, and give the way to it through its session, and the one that the host knows."""
    try:
        with connect(host) as connection:
            connection.client.wait_for_workers(2)
            there = connection.client.scheduler_info()["address"]
            found = asyncio.run(_access(host))
            yield Access(found["address"], found["security"]), Access(there, found["security"])
    finally:
        end_session(host)


def run_client(body: list[str], access: Access, inside: list[str] | None = None) -> float:
    """Run a client to its end, and give the number that it prints.

    Args:
        body: Lines of Python that have ``client``, and set ``measured``.
        access: Where the scheduler is.
        inside: Words before the command, which let it run elsewhere.
    """
    done = subprocess.run(
        [*(inside or []), sys.executable, "-c", FRAME.replace("{body}", "\n        ".join(body))],
        input=json.dumps({"address": access.address, "security": access.security}),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
    )
    return float(done.stdout.split()[-1])


async def _access(host: Host) -> dict[str, Any]:
    session = await find(host)
    try:
        return await session.access()
    finally:
        session.close()
        await session.wait_closed()
