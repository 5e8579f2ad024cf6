"""Slots: the cores, GPUs and memory of this host, shared by all processes of this user that perform tasks here.

They meet in a folder of their own: one small file says who has what, and who waits, in the order of arrival; it is
changed under a lock that is held for less than a millisecond. Whoever gives something back hands it on to those who
wait, and rings their bells, so nobody polls. Each claim is a locked file: the kernel unlocks it when its process has
ended by whatever signal, and then the claim is void.

Who came first is served first. Who wants more than there is at the moment gets what becomes free kept for it; others
pass only with what it does not want: a large task is never starved by small ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from simmate_remote.errors import Remedy, TaskCancelledError, TaskError, UnsatisfiableError
from simmate_remote.workflows.shell.capacity import Capacity, capacity
from simmate_remote.workflows.shell.line import Claim, distribute
from simmate_remote.workflows.shell.resources import Allotment, Resources

VARIABLE = "SIMMATE_REMOTE_SLOTS"
"""Names another folder for the slots: tasks that use different ones do not see each other."""

_LOCK_LIMIT = 60.0
_LOOK = 1.0
"""Seconds after which the first in line looks itself: a process that was killed rings no bell."""

_CANCEL_LOOK = 0.25


class Slots:
    """The slots of this host.

    Args:
        folder: Where their users meet; default: one for this user, or what SIMMATE_REMOTE_SLOTS names.
        has: What there is; default: what this process may use.
    """

    def __init__(self, folder: Path | None = None, has: Capacity | None = None) -> None:
        self._folder = folder or _usual_folder()
        self._has = has or capacity()

    @property
    def has(self) -> Capacity:
        """What there is."""
        return self._has

    def check(self, wishes: Resources) -> None:
        """Refuse what this host can never give.

        Raises:
            UnsatisfiableError: With what is asked for, and what there is.
        """
        if wishes.shared:
            return
        cores, gpus = wishes.cores_of(len(self._has.cores)), wishes.gpus_of(len(self._has.gpus))
        problems = []
        if cores > len(self._has.cores):
            problems.append(f"{cores} cores, and there are {len(self._has.cores)}")
        if gpus > len(self._has.gpus):
            problems.append(f"{gpus} GPUs, and there are {len(self._has.gpus)}")
        if wishes.memory_bytes > self._has.memory:
            problems.append(f"{_gib(wishes.memory_bytes)} of memory, and there are {_gib(self._has.memory)}")
        if problems:
            raise UnsatisfiableError(
                f"the task asks for {'; for '.join(problems)}",
                host=socket.gethostname(),
                meanwhile="its program was not started",
                detail="What a task asks for is in its `resources`; what there is, is what its worker may use.",
            )

    def take(self, wishes: Resources, cancelled: threading.Event | None = None) -> Taken:
        """Wait in line for what a task wants, and give it.

        Args:
            wishes: What it wants.
            cancelled: Ends the waiting when it is set.

        Returns:
            What it got, to be given back: use it as a context manager.

        Raises:
            UnsatisfiableError: This host can never give that.
            TaskCancelledError: The waiting was ended.
            TaskError: The folder cannot be used.
        """
        cores, gpus = wishes.cores_of(len(self._has.cores)), wishes.gpus_of(len(self._has.gpus))
        threads = wishes.threads or max(1, cores // wishes.ranks)
        self.check(wishes)
        if wishes.shared:
            return Taken(self, None, Allotment((), cores, wishes.ranks, threads, shared=True), -1)
        claim = Claim(
            name=f"{os.getpid()}-{secrets.token_hex(6)}",
            cores=cores,
            gpus=gpus,
            memory=wishes.memory_bytes,
            may_cores=self._has.cores,
            may_gpus=self._has.gpus,
            may_memory=self._has.memory,
        )
        lock = self._lock_file(claim.name)
        bell = -1
        try:
            with self._line() as line:
                line.append(claim)
                got = self._hand_out(line)[claim.name]
                if got.has is None:
                    os.mkfifo(self._bell(claim.name), 0o600)
                    # For writing, too: it shall not end with the first that rings it.
                    bell = os.open(self._bell(claim.name), os.O_RDWR | os.O_NONBLOCK)
            if got.has is None:
                got = self._wait(claim.name, bell, cancelled)
        except BaseException:
            self.give_back(claim.name, lock)
            raise
        finally:
            if bell >= 0:
                os.close(bell)
                self._bell(claim.name).unlink(missing_ok=True)
        assert got.has is not None
        allotment = Allotment(got.has.cores, cores, wishes.ranks, threads, got.has.gpus, claim.memory)
        return Taken(self, claim.name, allotment, lock)

    def give_back(self, name: str, lock: int) -> None:
        """Give back what a claim has, or leave the line."""
        try:
            with self._line() as line:
                line[:] = [claim for claim in line if claim.name != name]
                self._hand_out(line)
        finally:
            self._lock_path(name).unlink(missing_ok=True)
            os.close(lock)

    def _wait(self, name: str, bell: int, cancelled: threading.Event | None) -> Claim:
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        look = 0.0
        while True:
            with self._line() as line:
                if time.monotonic() >= look:
                    line[:] = [claim for claim in line if claim.name == name or self._lives(claim.name)]
                claims = self._hand_out(line)
                if claims[name].has is not None:
                    return claims[name]
                waiting = [claim.name for claim in line if claim.has is None]
            # The further from the front, the less there is to be seen.
            look = time.monotonic() + _LOOK * (waiting.index(name) + 1)
            while (left := look - time.monotonic()) > 0:
                if poll.poll((left if cancelled is None else min(left, _CANCEL_LOOK)) * 1000):
                    os.read(bell, 512)
                    break
                if cancelled is not None and cancelled.is_set():
                    raise TaskCancelledError("the task was cancelled while it waited for its slots")

    def _hand_out(self, line: list[Claim]) -> dict[str, Claim]:
        served = distribute(line)
        for name in served:
            with contextlib.suppress(OSError):  # it has no bell: it is us, or it has just died
                ring = os.open(self._bell(name), os.O_WRONLY | os.O_NONBLOCK)
                os.write(ring, b"!")
                os.close(ring)
        return {claim.name: claim for claim in line}

    @contextlib.contextmanager
    def _line(self) -> Iterator[list[Claim]]:
        """Give all claims in the order of their arrival; changes are kept."""
        mutex = os.open(self._folder / "mutex", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(mutex, self._folder)
            path = self._folder / "line.json"
            before = path.read_text() if path.exists() else ""
            # An empty file is what a machine leaves that has lost its power; nobody who was in it lives.
            line = [Claim.from_record(each) for each in json.loads(before or "[]")]
            yield line
            after = json.dumps([claim.as_record() for claim in line])
            if after != before:
                arriving = path.with_suffix(".arriving")
                arriving.write_text(after)
                arriving.replace(path)
        except OSError as error:
            if isinstance(error, TaskError):
                raise
            what = f"the slots in {self._folder} cannot be kept: {error.strerror}"
            raise TaskError(what, host=socket.gethostname(), meanwhile="no program was started for it") from error
        finally:
            os.close(mutex)

    def _prepare(self) -> None:
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:
            found = self._folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise TaskError(
                    f"{self._folder} is not a folder that belongs to this user alone",
                    host=socket.gethostname(),
                    remedies=(Remedy(f"ls -ld {self._folder}", f"shows whose it is; {VARIABLE} names another"),),
                ) from None

    def _lock_file(self, name: str) -> int:
        self._prepare()
        fd = os.open(self._lock_path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def _lives(self, name: str) -> bool:
        """Say whether a claim's process lives, or what it has started; if not, what it left is removed."""
        path = self._lock_path(name)
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        path.unlink(missing_ok=True)
        self._bell(name).unlink(missing_ok=True)
        return False

    def _lock_path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _bell(self, name: str) -> Path:
        return self._folder / f"{name}.bell"


class Taken:
    """What a task has got, until it is given back.

    Attributes:
        allotment: What that is.
        lock: The descriptor that keeps it; whoever else holds a copy keeps it, too; -1: nothing is kept.
    """

    def __init__(self, slots: Slots, name: str | None, allotment: Allotment, lock: int) -> None:
        self._slots = slots
        self._name = name
        self.allotment = allotment
        self.lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._name is not None:
            self._slots.give_back(self._name, self.lock)


def _usual_folder() -> Path:
    named = os.environ.get(VARIABLE)
    # The same for all processes of a user, whatever their TMPDIR is: a queue gives each job its own.
    return Path(named) if named else Path(f"/tmp/simmate-remote-slots-{os.geteuid()}")  # noqa: S108 - made 0700


def _lock(fd: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_LIMIT
    pause = 0.0002
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TaskError(
                    f"the slots in {folder} have been held for {_LOCK_LIMIT:g} s by a process that does not go on",
                    host=socket.gethostname(),
                    meanwhile="no program was started for it; those that run go on",
                    remedies=(
                        Remedy("ps x -o pid,stat,args", "shows it there, in state T if somebody has stopped it"),
                    ),
                ) from None
            time.sleep(pause)
            pause = min(0.005, pause * 2)
        else:
            return


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}".removesuffix(".0") + " GiB"
