"""The supervisor: starts programs for another process, and ends them, and all that they started, with that process.

It runs as a script, in an interpreter that reads the standard library alone and starts in 20 ms, once for each process
that performs tasks. For each program it forks a *guardian*, which takes 1 ms: the program's parent, who adopts whatever
detaches itself (``PR_SET_CHILD_SUBREAPER``, prctl(2)), and ends all of it when the program has ended, when it is told
to, or when the process that asked is gone, by whatever signal. A guardian that is killed itself leaves its orphans to
the supervisor, which ends them.

Orders come with a socket each; see :mod:`simmate_remote.workflows.shell.programs` for the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[3]))
from simmate_remote.keeper.host.ending import end_all
from simmate_remote.keeper.host.family import descendants

PR_SET_CHILD_SUBREAPER = 36
MOST_FDS = 8
GRACE = 5.0
SEES_PROCESSES = sys.platform == "linux"


def main() -> None:
    """Fork a guardian for each order that comes on stdin, until nobody can order any more and all have ended."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir("/")
    adopt_orphans()
    # A handler, and not SIG_IGN, which programs would inherit: the end is told by the socket alone.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    wake = wake_by_signals()
    client = process_handle(os.getppid())
    # Nothing here is ever garbage, and looking for it would copy pages that the guardians share.
    gc.disable()
    guardians: set[int] = set()
    ordering = True
    while ordering or guardians:
        ready = wait_for([control.fileno() if ordering else -1, wake, client])
        bury(guardians)
        if ordering and control.fileno() in ready:
            word, fds, _, _ = socket.recv_fds(control, 1, MOST_FDS)
            for fd in fds:
                os.set_inheritable(fd, False)
            if word:
                guardians.add(fork_guardian(fds, client, control))
        # Once the client has ended, its end of the socket may live on in a process that it has forked.
        if client in ready or (control.fileno() in ready and not word):
            ordering = False
            client = -1


def fork_guardian(fds: list[int], client: int, control: socket.socket) -> int:
    """Start a guardian; the first descriptor is the socket of its order, and the others are held until its end."""
    pid = os.fork()
    if pid:
        for fd in fds:
            os.close(fd)
        return pid
    try:
        control.close()
        adopt_orphans()
        Guardian(socket.socket(fileno=fds[0]), client, fds[1:]).run()
    except OSError as error:
        os.write(2, f"simmate-remote: a guardian of a program failed: {error}\n".encode())
        os._exit(1)
    finally:
        os._exit(0)


def bury(guardians: set[int]) -> None:
    """Take note of the guardians that have ended, and end what one has left behind that was killed."""
    broken = False
    for pid, status in ended_children():
        broken |= pid in guardians and status != 0
        guardians.discard(pid)
    if broken and SEES_PROCESSES:

        def orphans() -> set[int]:
            watched = guardians.union(*(descendants(each) for each in guardians))
            return set(descendants(os.getpid())) - watched

        end_all(orphans, GRACE)
        # Whatever has ended meanwhile, that has taken note of.
        guardians.intersection_update(living(guardians))


def living(pids: set[int]) -> set[int]:
    """Give those of some children that are not yet gone."""
    found = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            found.add(pid)
    return found


class Guardian:
    """The parent of one program.

    Args:
        asked: The socket that the order comes on, and the answers go to; it ends with whoever asked.
        client: The handle of the process that asked; -1 where the system has none.
        held: Descriptors to be held until nothing of the program is left.
    """

    def __init__(self, asked: socket.socket, client: int, held: list[int]) -> None:
        self.asked = asked
        self.client = client
        self.held = held
        self.terminated = False
        signal.signal(signal.SIGTERM, self._terminate)
        self.wake = wake_by_signals()

    def run(self) -> None:
        """Start the program, wait for its end or for the word that ends it, end what is left, and tell what it was."""
        size = struct.unpack("!I", self._read(4))[0]
        order = json.loads(self._read(size))
        started = time.monotonic()
        try:
            main = start(order)
        except OSError as error:
            self._tell(error=error.errno, what=error.strerror, file=error.filename)
            return
        self._tell(pid=main, at=time.time())
        ending = self._watch(main)
        if ending is None or (SEES_PROCESSES and has_children()):
            end_family(main, order["grace"])
        seconds = time.monotonic() - started
        # Before it is told: the folder may then be used, moved, or unmounted.
        os.chdir("/")
        for fd in self.held:
            os.close(fd)
        if ending is None:
            self._tell(status=None, seconds=seconds)
            return
        status, usage = ending
        scale = 1024 if SEES_PROCESSES else 1
        self._tell(status=status, seconds=seconds, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss * scale)

    def _watch(self, main: int) -> tuple[int, Any] | None:
        """Wait for the program's end; None if it is to be ended before."""
        while True:
            with contextlib.suppress(ChildProcessError):
                while True:
                    pid, status, usage = os.wait4(-1, os.WNOHANG)
                    if pid == main:
                        return status, usage
                    if pid == 0:
                        break
            if self.terminated:
                return None
            if set(wait_for([self.asked.fileno(), self.wake, self.client])) - {self.wake}:
                # One word, the end of the socket, or the end of the process: all mean the same.
                return None

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _read(self, size: int) -> bytes:
        data = self.asked.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            os._exit(0)  # whoever asked is gone before anything was started
        return data

    def _tell(self, **words: object) -> None:
        with contextlib.suppress(OSError):  # nobody is there to hear it
            self.asked.sendall(json.dumps(words).encode() + b"\n")


def start(order: dict[str, Any]) -> int:
    """Start a program in a session of its own, with its output in files.

    Raises:
        OSError: The system does not start it.
    """
    # Here and not in the program's process: so that it can be started without copying this one's memory.
    os.chdir(order["folder"])
    if order["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cores"])
    os.environ["PATH"] = order["environment"].get("PATH", os.defpath)
    # The files themselves: no pipe that could be full, at any rate of output.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    stdin = os.open(order["stdin"] or os.devnull, os.O_RDONLY)
    stdout = os.open(order["stdout"], flags, 0o600)
    stderr = stdout if order["stderr"] == order["stdout"] else os.open(order["stderr"], flags, 0o600)
    try:
        return os.posix_spawnp(
            order["command"][0],
            order["command"],
            order["environment"],
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((stdin, stdout, stderr))],
            setsid=True,
            # Python ignores these, and programs expect them.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        error.filename = order["command"][0]
        raise
    finally:
        for fd in {stdin, stdout, stderr}:
            os.close(fd)


def end_family(main: int, grace: float) -> None:
    """End the program's process group, and whatever has left it."""
    if SEES_PROCESSES:
        end_all(partial(descendants, os.getpid()), grace)
        return
    # Without /proc there is no telling who belongs to whom beyond the group.
    deadline = time.monotonic() + grace
    number = signal.SIGTERM
    with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
        while True:
            os.killpg(main, number)
            os.waitpid(-1, os.WNOHANG)
            time.sleep(0.02)
            number = signal.SIGKILL if time.monotonic() > deadline else signal.SIGTERM


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends; only Linux can."""
    if SEES_PROCESSES:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def process_handle(pid: int) -> int:
    """Give a descriptor that can be read when a process has ended; -1 where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def wake_by_signals() -> int:
    """Give a descriptor that can be read after a signal, the end of a child among them."""
    there, here = os.pipe()
    os.set_blocking(there, False)
    os.set_blocking(here, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(here, warn_on_full_buffer=False)
    _wakers.add(there)
    return there


_wakers: set[int] = set()


def wait_for(fds: list[int]) -> list[int]:
    """Wait until one of several descriptors can be read, and give those that can be."""
    poll = select.poll()
    for fd in fds:
        if fd >= 0:
            poll.register(fd, select.POLLIN)
    ready = [fd for fd, _ in poll.poll()]
    for fd in _wakers.intersection(ready):
        with contextlib.suppress(BlockingIOError):
            while os.read(fd, 512):
                pass
    return ready


def has_children() -> bool:
    """Say whether anything is left below this process, to which all orphans come."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def ended_children() -> list[tuple[int, int]]:
    """Give the children that have ended, and how."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(ended)
    return found


if __name__ == "__main__":
    main()
