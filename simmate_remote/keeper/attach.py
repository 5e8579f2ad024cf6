"""Find the keeper of this machine, or start one, and hand it this command's stdin and stdout as a carrier."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START_TIMEOUT = 30.0
UCRED = struct.Struct("3i")
LOG_TAIL = 4000


def attach(request: dict[str, Any], folder: str, package: str, say: Callable[..., None]) -> None:
    """Become the carrier between this login and the keeper; never returns if all goes well.

    Args:
        request: What the near end asked for; ``lease`` is a new keeper's first lease in seconds, ``process`` what
            it starts first.
        folder: Our folder on the host.
        package: The folder that holds our package.
        say: Sends a line to the near end.
    """
    place = Path(folder)
    with _one_at_a_time(place):
        connection = _living(place)
        started = connection is None
        if connection is None:
            _start(place, package, {"lease": request["lease"], "process": request["process"]})
            connection = _living(place)
            if connection is None:
                raise RuntimeError("the keeper said that it is ready, and then did not answer")
    say(at="handover", started=started)
    socket.send_fds(connection, [b"carrier"], [0, 1])
    _wait_beside(connection)


def record_path(folder: Path) -> Path:
    """Give the file that tells where the keeper of this machine listens; home folders are shared between machines."""
    return folder / "keepers" / f"{socket.gethostname()}.json"


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep two logins from starting two keepers."""
    path = record_path(folder).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        # A network file system without locks: two logins in the same half second could then start two keepers.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _living(folder: Path) -> socket.socket | None:
    """Connect to the keeper of this machine, if it lives."""
    record = record_path(folder)
    try:
        path = json.loads(record.read_text())["handover"]
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
    except (OSError, ValueError, KeyError):
        record.unlink(missing_ok=True)
        return None
    if _user_behind(connection) != os.getuid():
        # The record outlived its keeper, by a reboot for example, and another user has taken the path in /tmp.
        connection.close()
        record.unlink(missing_ok=True)
        return None
    return connection


def _user_behind(connection: socket.socket) -> int:
    """Give the number of the user at the other end, as the kernel knows it (``ucred``, unix(7))."""
    _, user, _ = UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    return int(user)


def _start(folder: Path, package: str, order: dict[str, Any]) -> None:
    """Start a guardian, detached from this login, and wait until its keeper is ready."""
    log = folder / "keepers" / f"{socket.gethostname()}.log"
    ready, ready_there = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            _become_guardian(folder, package, order, log, ready_there)
        finally:
            os._exit(1)
    os.close(ready_there)
    with os.fdopen(ready, "rb") as pipe:
        if not select.select([pipe], [], [], START_TIMEOUT)[0] or pipe.read() != b"ready":
            tail = log.read_bytes()[-LOG_TAIL:].decode(errors="replace") if log.exists() else ""
            raise RuntimeError(f"the keeper did not start; its log {log} ends with:\n{tail}")


def _become_guardian(folder: Path, package: str, order: dict[str, Any], log: Path, ready: int) -> None:
    if os.fork() != 0:
        os._exit(0)
    stdin = os.memfd_create("order")
    os.write(stdin, json.dumps(order).encode())
    os.lseek(stdin, 0, os.SEEK_SET)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(stdin, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(ready, 3)
    os.set_inheritable(3, True)
    os.closerange(4, 1024)
    os.chdir("/")
    environment = {**os.environ, "PYTHONPATH": package, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "simmate_remote.keeper.guardian", str(folder)]
    os.execve(sys.executable, command, environment)


def _wait_beside(connection: socket.socket) -> None:
    """Stay alive as long as the keeper uses the carrier: sshd closes the channel when its command ends.

    A shell that waits for a line takes a tenth of the memory of a Python that does.
    """
    os.dup2(connection.fileno(), 3)
    os.set_inheritable(3, True)
    os.execv("/bin/sh", ["simmate-remote-carrier", "-c", "read -r _ <&3"])
