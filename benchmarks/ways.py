"""Two ways from a port of this machine to a port on the box: a session of ours, and ``ssh -L``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lab_host import end_session
from simmate_remote import RemoteCluster
from simmate_remote.inventory import Host
from simmate_remote.session.client import find
from tests.boxes import LabBox
from tests.keepers import reached
from tests.lab import Lab

START_LIMIT = 30.0


@contextlib.contextmanager
def far_end(lab: Lab) -> Iterator[int]:
    """Run the far end of raw measurements on the box, and give its port there."""
    program = Path(__file__).with_name("far_end.py").read_text()
    process = lab.popen("researcher", [str(lab.python), "-c", program], stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextlib.contextmanager
def through_session(lab: Lab, host: Host, port: int) -> Iterator[int]:
    """Give a port here that a session's stream joins with a port of the host.

    The session is one like any other, with its cluster; only that the keeper is told, through a second login, to open
    its next streams to the scheduler elsewhere. So the bytes go the way of a user's.
    """
    with RemoteCluster(host, outlive=True) as cluster:
        forwarded = int(cluster.scheduler_address.rpartition(":")[2])
        asyncio.run(_redirect(lab, host, port))
    try:
        yield forwarded
    finally:
        end_session(host)


@contextlib.contextmanager
def through_ssh(lab: Lab, port: int) -> Iterator[int]:
    """Give a port here that ``ssh -L`` joins with a port of the box, with the cipher that is its default."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        here = free.getsockname()[1]
    command = ["ssh", "-F", str(lab.ssh_config), "-N", "-o", "ExitOnForwardFailure=yes"]
    process = subprocess.Popen(
        [*command, "-L", f"127.0.0.1:{here}:127.0.0.1:{port}", "lab-box"], stdin=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_LIMIT
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", here)):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("ssh -L did not start")
            time.sleep(0.01)
        yield here
    finally:
        process.terminate()
        process.wait()


async def _redirect(lab: Lab, host: Host, port: int) -> None:
    session = await find(host)
    await session.scale(n=2)  # which waits until the session has reached the scheduler for itself
    session.close()
    await session.wait_closed()
    async with reached(LabBox(lab), owner="visitor", start=False) as there:
        await there.keeper.call("offer", target="scheduler", place={"port": port})
