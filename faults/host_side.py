"""What the workload runs on the host; it travels there by value, and imports nothing of ours."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import select
import socket
import threading
import time
from typing import Any

from tests.hosts import travels

TASKS = 200
PAYLOAD = 2000
LINE = 1024
"""Bytes of the line that a start leaves: enough that a full disk has no room for it."""
BEAT = 0.02
ECHO_PIECE = 16 * 1024
ECHO_PAUSE = 0.01
TOPIC = "faults-beat"


@travels
def payload(number: int, size: int) -> bytes:
    """Make bytes that both sides can make, and that look like nothing else."""
    return random.Random(number).randbytes(size)


@travels
def pause(seconds: float) -> None:
    """Sleep; not by time.sleep, which fails under libfaketime, the lab's way to a wrong clock."""
    select.select([], [], [], seconds)


@travels
def counted(folder: str, number: int, seconds: float) -> bytes:
    """Be one of the tasks: leave a line that tells of this start, take a while, give bytes that can be checked."""
    lines = os.open(os.path.expanduser(f"{folder}/starts"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if os.write(lines, b"%*d\n" % (LINE - 1, number)) < LINE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(lines)
    pause(seconds)
    return payload(number, PAYLOAD)


@travels
def prepare(folder: str) -> None:
    """Make the folder of the starts."""
    os.makedirs(os.path.expanduser(folder), exist_ok=True)


@travels
def starts(folder: str) -> list[int]:
    """Read which tasks were started, once for each start."""
    with open(os.path.expanduser(f"{folder}/starts")) as lines:
        return [int(word) for word in lines.read().split()]


@travels
def pid() -> int:
    """Say which process this is, there."""
    return os.getpid()


@travels
def digest(data: bytes) -> str:
    """Say what arrived."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


@travels
async def start_beats(dask_scheduler: Any) -> None:
    """Let the scheduler tell its clients the time, again and again, until :func:`stop_beats`."""
    if getattr(dask_scheduler, "faults_beats", None) is not None:
        return

    async def beat() -> None:
        while True:
            dask_scheduler.log_event(TOPIC, time.monotonic())
            await asyncio.sleep(BEAT)

    dask_scheduler.faults_beats = asyncio.get_running_loop().create_task(beat())


@travels
async def stop_beats(dask_scheduler: Any) -> None:
    """Let the scheduler fall silent."""
    if (beats := getattr(dask_scheduler, "faults_beats", None)) is not None:
        beats.cancel()
    dask_scheduler.faults_beats = None


@travels
def start_echo(path: str, dask_scheduler: Any) -> None:
    """Let the scheduler's process send bytes to what is lent to the host, and compare those that come back.

    Args:
        path: The socket there that leads here.
        dask_scheduler: The scheduler.
    """
    found: dict[str, Any] = {"compared": 0, "wrong": 0, "failure": None}
    dask_scheduler.faults_echo = found
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    for work in (echo_send, echo_compare):
        threading.Thread(target=work, args=(connection, found), daemon=True).start()


@travels
def echo_send(connection: socket.socket, found: dict[str, Any]) -> None:
    """Send bytes that never repeat."""
    generator = random.Random(ECHO_PIECE)
    while found["failure"] is None:
        try:
            connection.sendall(generator.randbytes(ECHO_PIECE))
        except OSError as error:
            found["failure"] = f"{type(error).__name__}: {error}"
        pause(ECHO_PAUSE)


@travels
def echo_compare(connection: socket.socket, found: dict[str, Any]) -> None:
    """Compare what comes back with what was sent, which the same generator makes again."""
    generator = random.Random(ECHO_PIECE)
    due = bytearray()
    while found["failure"] is None:
        try:
            arrived = connection.recv(ECHO_PIECE)
        except OSError as error:
            found["failure"] = f"{type(error).__name__}: {error}"
            return
        if not arrived:
            found["failure"] = "it ended"
        while len(due) < len(arrived):
            due += generator.randbytes(ECHO_PIECE)
        if arrived != due[: len(arrived)]:
            found["wrong"] += sum(one != other for one, other in zip(arrived, due, strict=False))
        found["compared"] += len(arrived)
        del due[: len(arrived)]


@travels
def echo_found(dask_scheduler: Any) -> dict[str, Any]:
    """Say what became of the echo so far."""
    return dict(dask_scheduler.faults_echo)
