"""Start a process of ours, before anything but the interpreter's own has been imported."""

from __future__ import annotations

import atexit
import contextlib
import os
import runpy
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from simmate_remote.keeper.host.appearance import show_command

FIRST_OF_OTHERS = 3
"""The first file descriptor after the standard ones."""


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

    It is a fork of this process, which has what an interpreter would have to import, and ten milliseconds of a person's
    time: unless something is added to its environment, since some of that means something only to what starts afresh.

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
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        standard = (there_in, there_out, output)
        try:
            pid = _start_afresh(module, environment, standard) if environment else _fork(module, standard)
        finally:
            os.close(output)
    except (OSError, ValueError) as error:
        os.close(here_out)
        os.close(here_in)
        raise RuntimeError(f"the process {name} cannot be started: {error}") from error
    finally:
        os.close(there_in)
        os.close(there_out)
    return Spawned(name, pid, here_out, here_in)


def close_all_but(kept: Collection[int]) -> None:
    """Close what this process has open besides stdin, stdout and stderr.

    Args:
        kept: What else stays open.
    """
    # Not all numbers that there may be: some machines allow a thousand million.
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd >= FIRST_OF_OTHERS and fd not in kept:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(fd)


def _start_afresh(module: str, environment: dict[str, str], standard: tuple[int, int, int]) -> int:
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", module],
        {**os.environ, **environment},
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(standard)],
        setpgroup=0,
        # Python ignores these, and programs that are not Python expect them.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _fork(module: str, standard: tuple[int, int, int]) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        for number, fd in enumerate(standard):
            os.dup2(fd, number)
        close_all_but(())
        show_command(sys.executable, "-m", module)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except Exception:  # noqa: BLE001 - as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - as the interpreter would
        os._exit(status)
