"""Start a guardian, detached from the login that wants it, and wait until its keeper is ready."""

from __future__ import annotations

import io
import json
import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from simmate_remote.keeper.host.appearance import appear_as
from simmate_remote.keeper.host.family import MARK
from simmate_remote.keeper.host.guardian import guard
from simmate_remote.keeper.host.previous import tail
from simmate_remote.keeper.host.record import log_path
from simmate_remote.keeper.host.runtime_folder import make_runtime_folder
from simmate_remote.keeper.host.spawning import close_all_but

START_TIMEOUT = 30.0
LOG_TAIL = 4000
READY = b"ready"


def start_keeper(folder: Path, package: str, order: dict[str, Any], prefix: Sequence[str]) -> None:
    """Start a keeper and wait until it can be reached.

    Args:
        folder: Our folder.
        package: The folder that holds our package.
        order: What the keeper is told.
        prefix: A command line that starts another where it outlives this login; empty: it need not be.

    Raises:
        RuntimeError: It did not start; with the reason that it gave, or the end of its log.
    """
    log = log_path(folder)
    try:
        runtime = make_runtime_folder()
    except OSError as error:
        raise RuntimeError(f"the keeper did not start: {error}") from error
    heard, said = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setsid()
            _become_guardian(folder, package, runtime, order, prefix, log, said)
        except OSError as error:
            # The log may be what cannot be opened: the pipe is the only way to tell.
            os.write(said, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(1)
    os.close(said)
    # It has handed over to a child of its own; what this process becomes would leave it dead and unburied.
    os.waitpid(child, 0)
    with os.fdopen(heard, "rb") as pipe:
        if not select.select([pipe], [], [], START_TIMEOUT)[0]:
            raise RuntimeError(f"the keeper was not ready after {START_TIMEOUT:.0f} s{_evidence(log)}")
        answer = pipe.read()
    if answer != READY:
        import shutil

        # A guardian that has begun removes it itself; there may have been none.
        shutil.rmtree(runtime, ignore_errors=True)
        raise RuntimeError(f"the keeper did not start: {answer.decode(errors='replace')}{_evidence(log)}")


def _evidence(log: Path) -> str:
    said = tail(log, LOG_TAIL)
    return f"\nits log {log} ends with:\n{said}" if said else ""


def _become_guardian(
    folder: Path, package: str, runtime: Path, order: dict[str, Any], prefix: Sequence[str], log: Path, said: int
) -> None:
    if os.fork() != 0:
        os._exit(0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.chdir("/")
    ours = {"PYTHONPATH": package, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", MARK: str(runtime)}
    command = [sys.executable, "-m", "simmate_remote.keeper.host.guardian", str(folder)]
    # An interpreter of its own takes 30 ms of a person's time to import once more what is here already.
    if not prefix and appear_as(command, MARK, str(runtime)):
        os.environ.update(ours)
        _guard_here(folder, order, said, output)
    stdin = os.memfd_create("order")
    os.write(stdin, json.dumps(order).encode())
    os.lseek(stdin, 0, os.SEEK_SET)
    # Nothing but these three: a program in between may close all others.
    for number, fd in enumerate((stdin, said, output)):
        os.dup2(fd, number)
    close_all_but(())
    os.execvpe([*prefix, *command][0], [*prefix, *command], {**os.environ, **ours})


def _guard_here(folder: Path, order: dict[str, Any], said: int, output: int) -> NoReturn:
    """Be the guardian, in this process."""
    for number, fd in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
        os.dup2(fd, number)
    close_all_but({said})
    # As an interpreter of its own would have them, by PYTHONUNBUFFERED.
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - for as long as this process lives
        setattr(sys, name, io.TextIOWrapper(raw, errors="backslashreplace", write_through=True))
    try:
        guard(folder, order, said)
    except BaseException:  # noqa: BLE001 - as the interpreter would
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)
