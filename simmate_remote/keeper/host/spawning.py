"""Start a process of ours, before anything but the interpreter's own has been imported."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple


class Spawned(NamedTuple):
    """A process that was started, for :class:`simmate_remote.keeper.host.processes.Process` to take over.

    Args:
        name: What it is called.
        pid: Its process id; it leads a process group.
        stdin: The pipe that leads to its stdin.
        stdout: The pipe that comes from its stdout.
    """

    name: str
    pid: int
    stdin: int
    stdout: int


def spawn(name: str, module: str, environment: dict[str, str], log: Path) -> Spawned:
    """Start a module of ours as a process in a group of its own.

    Args:
        name: What it shall be called.
        module: The module.
        environment: What is added to its environment.
        log: Where all that it writes to stderr goes, however much it is.

    Raises:
        RuntimeError: It cannot be started.
    """
    there_in, here_out = os.pipe()
    here_in, there_out = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", module],
            {**os.environ, **environment},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, there_in, 0),
                (os.POSIX_SPAWN_DUP2, there_out, 1),
                (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            ],
            setpgroup=0,
            # Python ignores these, and programs that are not Python expect them.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except (OSError, ValueError) as error:
        os.close(here_out)
        os.close(here_in)
        raise RuntimeError(f"the process {name} cannot be started: {error}") from error
    finally:
        os.close(there_in)
        os.close(there_out)
    return Spawned(name, pid, here_out, here_in)
