"""Programs under the supervisor: start one, wait for its end, end it. Each of our processes has one supervisor."""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import select
import shutil
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from simmate_remote.errors import CommandNotFoundError, ProgramFailedError, SupervisorError

MARK = "SIMMATE_REMOTE_TASK"
"""The variable with the mark of an attempt; all that its program starts has it."""

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
FULL = {errno.ENOSPC, errno.EDQUOT}
"""What the system says when a disk is full, or a quota used up."""

_START_LIMIT = 60.0
"""Seconds for a program to be started; a machine that is out of memory may take long."""

_END_LIMIT = 30.0
"""Seconds for the kernel to end what has got a SIGKILL; large memory takes a while to be freed."""

_NOT_THERE = {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


@dataclass(frozen=True)
class Order:
    """A program to be started.

    Args:
        command: Its words; the first is looked for in ``PATH`` of its environment.
        folder: Where it runs.
        environment: The whole of it.
        stdin: A file that it reads, in its folder; empty: nothing.
        stdout: The file for what it prints; emptied first.
        stderr: The same for its error messages; may be the same file.
        cores: The only ones that it may use; empty: any.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    stdin: str = ""
    stdout: str = "stdout.txt"
    stderr: str = "stderr.txt"
    cores: Sequence[int] = ()
    grace: float = 5.0


class Ending(NamedTuple):
    """How a program ended.

    Args:
        code: Its exit code; None if a signal ended it, or we did.
        signal: The number of that signal; None if we ended it.
        seconds: How long it ran.
        cpu: Seconds of computing, of the program and of those that it waited for.
        memory: The most that one of its processes had, in bytes.
    """

    code: int | None
    signal: int | None
    seconds: float
    cpu: float = 0.0
    memory: int = 0

    @property
    def by_us(self) -> bool:
        """Whether it did not end by itself."""
        return self.code is None and self.signal is None


class Program:
    """A program that runs, with all that it starts; as a context manager, it is ended when the block is left.

    Args:
        order: What to start.
        held: Descriptors that are to be held as long as anything of the program is left, whatever becomes of this
            process: the locks of what it uses.

    Raises:
        CommandNotFoundError: There is no such program, or it is not one.
        ProgramFailedError: The system cannot start it: out of memory or of processes, or a file cannot be opened.
        OSError: The disk is full.
        SupervisorError: The supervisor was killed.
    """

    def __init__(self, order: Order, held: Sequence[int] = ()) -> None:
        self._socket, there = socket.socketpair()
        self._unread = b""
        self._ending: Ending | None = None
        self._grace = order.grace
        try:
            with there:
                _own.send(there.fileno(), held)
            about = {
                "command": list(order.command),
                "folder": str(order.folder),
                "environment": dict(order.environment),
                "stdin": order.stdin,
                "stdout": order.stdout,
                "stderr": order.stderr,
                "cores": list(order.cores),
                "grace": order.grace,
            }
            data = json.dumps(about).encode()
            self._socket.sendall(struct.pack("!I", len(data)) + data)
            answer = self._hear(_START_LIMIT)
            if answer is None:
                raise SupervisorError(f"{order.command[0]} was not started within {_START_LIMIT:.0f} s")
        except BrokenPipeError as error:
            self._socket.close()
            raise _supervisor_gone() from error
        except BaseException:
            self._socket.close()
            raise
        if "error" in answer:
            self._socket.close()
            raise _not_started(order, answer)
        self.pid: int = answer["pid"]
        self.since: float = answer["at"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ending is None and self._socket.fileno() >= 0:
            self.end()

    def wait(self, timeout: float) -> Ending | None:
        """Wait until nothing of it is left; None if it still runs after some seconds.

        Raises:
            SupervisorError: The supervisor was killed.
        """
        if self._ending is None and (answer := self._hear(timeout)) is not None:
            self._ending = _ending(answer)
            self._socket.close()
        return self._ending

    def end(self) -> Ending:
        """End it and all that it has started: SIGTERM, and SIGKILL after the grace.

        Raises:
            SupervisorError: The supervisor was killed.
        """
        with contextlib.suppress(OSError):  # it has just ended by itself
            self._socket.sendall(b"e")
        if (ending := self.wait(self._grace + _END_LIMIT)) is None:
            # Such as a process that waits for a disk that does not answer.
            raise SupervisorError(f"the program (pid {self.pid}) does not end, not even by SIGKILL")
        return ending

    def _hear(self, timeout: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            try:
                data = self._socket.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                self._socket.close()
                raise _supervisor_gone()
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        words: dict[str, Any] = json.loads(line)
        return words


def find_command(name: str, environment: Mapping[str, str]) -> None:
    """Refuse a command that is not there; one with a path in it may be among what a task's setup writes.

    Raises:
        CommandNotFoundError: No folder of ``PATH`` has it.
    """
    if "/" not in name and shutil.which(name, path=environment.get("PATH", os.defpath)) is None:
        raise CommandNotFoundError(
            f"the command {name} was not found",
            meanwhile="nothing was written or run",
            detail=f"PATH is {environment.get('PATH', os.defpath)}",
        )


class _Supervisor:
    """The supervisor of this process."""

    def __init__(self) -> None:
        self._control, there = socket.socketpair()
        with there:
            # Its stdin, and not a descriptor that it inherits: other threads start programs, too, at any time.
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", str(_SUPERVISOR)],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, there.fileno(), 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
                setsid=True,  # a terminal's Ctrl-C is meant for us, and we end the programs
            )

    def send(self, order: int, held: Sequence[int]) -> None:
        socket.send_fds(self._control, [b"p"], [order, *held])

    def bury(self) -> None:
        """Release what is left of one that was killed."""
        self._control.close()
        os.waitpid(self.pid, os.WNOHANG)


class _Own:
    """The supervisor of this process, started when it is first needed, and again after it was killed."""

    def __init__(self) -> None:
        atexit.register(self.close)
        self._lock = threading.Lock()
        self._supervisor: _Supervisor | None = None
        self._process = 0

    def send(self, order: int, held: Sequence[int]) -> None:
        with self._lock:
            if self._supervisor is None or self._process != os.getpid():  # or this process was forked
                self._supervisor, self._process = self._start(), os.getpid()
            try:
                self._supervisor.send(order, held)
            except OSError:
                self._supervisor.bury()
                self._supervisor = self._start()
                self._supervisor.send(order, held)

    def _start(self) -> _Supervisor:
        try:
            return _Supervisor()
        except OSError as error:
            raise SupervisorError(f"the supervisor of programs cannot be started: {error.strerror}") from error

    def close(self) -> None:
        """Let the supervisor end; it ends with this process in any case."""
        with self._lock:
            if self._supervisor is not None and self._process == os.getpid():
                self._supervisor.bury()
            self._supervisor = None


_own = _Own()


def _ending(answer: dict[str, Any]) -> Ending:
    status = answer["status"]
    if status is None:
        return Ending(None, None, answer["seconds"])
    code = os.waitstatus_to_exitcode(status)
    return Ending(
        code if code >= 0 else None, -code if code < 0 else None, answer["seconds"], answer["cpu"], answer["memory"]
    )


def _not_started(order: Order, answer: dict[str, Any]) -> Exception:
    command, number, file = order.command[0], answer["error"], answer["file"]
    if number in FULL:
        return OSError(number, answer["what"], file)
    kind = CommandNotFoundError if number in _NOT_THERE and file == command else ProgramFailedError
    what = answer["what"] if file == command else f"{file}: {answer['what']}"
    return kind(f"the command {command} cannot be started: {what}", folder=str(order.folder))


def _supervisor_gone() -> SupervisorError:
    return SupervisorError(
        "the process that watched over the program was killed", meanwhile="the program was ended with it"
    )
