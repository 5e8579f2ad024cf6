"""The lock of a folder: one attempt at a time works in it, and ends first what a dead one left running.

A run's folder has one, and so has a task's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import select
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simmate_remote.errors import FolderBusyError
from simmate_remote.keeper.host.record import FRESH, TOUCH, boot_id
from simmate_remote.runs.host.marked import end_marked

_SEES_PROCESSES = sys.platform == "linux"
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_DYING = 30.0
"""Seconds that a dead attempt's program gets to end: its guardian asks it first."""

_held: set[int] = set()
"""The locked files of this process."""


class FolderLock:
    """Holds a folder; as a context manager.

    The lock is the kernel's, on a file that also says whose it is. Where a file system has no locks, what that file
    says counts: its owner lives, or has touched it a moment ago.

    Args:
        path: The file, which is made if need be.
        folder: What people know as what is locked.
        variable: The variable that has the mark in the environment of what an attempt starts.
        mark: That mark; default: a new one.

    Attributes:
        mark: The mark.
        fd: The locked file; a guardian may hold it, too.
        by_kernel: Whether the kernel keeps the lock; otherwise its owner has to :meth:`touch` it.

    Raises:
        FolderBusyError: Somebody else has it.
    """

    def __init__(self, path: Path, folder: Path, variable: str, mark: str | None = None) -> None:
        self._folder = folder
        self._path = path
        self.mark = mark or secrets.token_hex(12)
        self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.by_kernel = self._acquire()
            before = _read(self._path)
            if not self.by_kernel and before and _may_live(before, self._path):
                raise self._busy(before)
            if before and _here(before) and before["mark"] != self.mark:
                end_marked(variable, before["mark"])
            self._write({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time(), "mark": self.mark})
        except BaseException:
            os.close(self.fd)
            raise
        _held.add(self.fd)
        self._touched = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.fd not in _held:
            return  # in a process that was forked meanwhile: the lock is not its own
        with contextlib.suppress(OSError):  # the disk is full, or gone; whoever comes next sees that we are
            os.ftruncate(self.fd, 0)
        _held.discard(self.fd)
        os.close(self.fd)

    def touch(self) -> None:
        """Say that we live, now and then."""
        if not self.by_kernel and time.monotonic() - self._touched > TOUCH:
            self._touched = time.monotonic()
            os.utime(self.fd)

    def _acquire(self) -> bool:
        """Lock the file; say whether the file system can."""
        deadline = time.monotonic() + _DYING
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = _read(self._path)
                if time.monotonic() > deadline or (owner and _may_live(owner, self._path)):
                    raise self._busy(owner) from error
                # A guardian still ends what a dead one has left, or is about to end itself.
                select.select([], [], [], 0.02)
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    return False
                raise
            else:
                return True

    def _write(self, owner: dict[str, Any]) -> None:
        owner |= {"boot": _boot(), "started": _started(os.getpid())}
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, json.dumps(owner).encode(), 0)

    def _busy(self, owner: dict[str, Any] | None) -> FolderBusyError:
        who = f"process {owner['pid']} on {owner['host']}" if owner else "another process"
        return FolderBusyError(
            f"{who} works in {self._folder}",
            folder=str(self._folder),
            since=owner["since"] if owner else None,
            meanwhile="it goes on; nothing was changed",
        )


def is_held(path: Path) -> bool:
    """Say whether somebody who lives has locked a file, without locking it."""
    owner = _read(path)
    return owner is not None and _may_live(owner, path)


def end_left(path: Path, variable: str) -> None:
    """End what is left of the attempt that has last locked a file, if its process is dead.

    Raises:
        SupervisorError: Something does not end.
    """
    owner = _read(path)
    if owner and _here(owner) and not _may_live(owner, path):
        end_marked(variable, owner["mark"])


def _let_go() -> None:
    """Leave the locks to the process that this one was forked from: it shall not keep them locked after its end."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        owner = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) and {"host", "pid", "since", "mark"} <= owner.keys() else None


def _here(owner: dict[str, Any]) -> bool:
    return bool(owner["host"] == socket.gethostname() and owner.get("boot") == _boot())


def _may_live(owner: dict[str, Any], path: Path) -> bool:
    """Say whether an owner lives; of one on another machine only its touch tells."""
    if _here(owner):
        return _started(owner["pid"]) == owner.get("started")
    if owner["host"] == socket.gethostname():
        return False  # the machine has started again since
    return time.time() - path.stat().st_mtime < FRESH


def _started(pid: int) -> str:
    """Say when a process began, in the system's own words; empty if it does not live."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return "" if _SEES_PROCESSES or not _lives(pid) else "lives"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _boot() -> str:
    return boot_id() if _SEES_PROCESSES else ""
