"""Where a fault happens: a host, a user with folders of their own, and the work that flows between them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from faults.client_process import UserProcess
from faults.host_side import TASKS
from simmate_remote import Host
from tests.boxes import Box, LabBox
from tests.hosts import host_of
from tests.lab import Lab

FOLDERS = {
    "HOME": "home",
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "run",
}
STARTING = 90.0
LEAVING = 30.0
WORKERS, THREADS = 2, 8
SLOTS = WORKERS * THREADS
LEAST_WORK = 1.5
ENDING = 60.0
POLL = 0.02

_numbers = itertools.count(1)


class Place:
    """A host and a user, and the user's process while there is one.

    Args:
        box: The host.
        link: ``asyncssh`` or ``openssh``.
        down: Bytes that a round's gather fetches.
        up: Bytes that its scatter takes there.

    Attributes:
        folder: The user's folders; the session's log is below.
        about: What the user's process said of what can be broken.
    """

    def __init__(self, box: Box, link: str = "asyncssh", *, down: int = 96_000_000, up: int = 8_000_000) -> None:
        self.box = box
        self.link = link
        self.about: dict[str, Any] = {}
        self.user: UserProcess | None = None
        self._down, self._up = down, up
        # A Unix socket in the run folder may have a path of 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
        for name in FOLDERS.values():
            (self.folder / name).mkdir(mode=0o700)
        self.log = self.folder / "user.log"

    @property
    def lab(self) -> Lab:
        """The lab, where the box is the lab's."""
        assert isinstance(self.box, LabBox)
        return self.box.lab

    @property
    def host(self) -> Host:
        """The host as the inventory would describe it."""
        return host_of(self.box, link=self.link, workers={"count": WORKERS, "threads": THREADS})

    def start_user(self) -> None:
        """Let a user's process connect.

        Raises:
            RuntimeError: It could not.
        """
        environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        environment |= {variable: str(self.folder / name) for variable, name in FOLDERS.items()}
        self.user = UserProcess(self.host, environment, self.log, self._down // 8)
        self.about = self.user.answer(STARTING)

    def begin(self, *, seconds: float = 0, up: int | None = None) -> None:
        """Begin a round of work, and wait until it flows.

        Args:
            seconds: How long the tasks shall go on, if the host is left to itself; at least a little.
            up: Bytes that the scatter takes there, if not as always.
        """
        assert self.user is not None
        task_seconds = (seconds + LEAST_WORK) * SLOTS / TASKS
        load = {"number": next(_numbers), "task_seconds": task_seconds, "down": self._down // 8, "up": up or self._up}
        self.user.order("begin", STARTING, **load)

    def refresh(self) -> None:
        """Ask anew what can be broken: a worker that died has been replaced."""
        assert self.user is not None
        self.about |= self.user.order("about", STARTING)

    def fall_silent(self) -> None:
        """Let the host say nothing by itself until the next round."""
        assert self.user is not None
        self.user.order("fall_silent", STARTING)

    def outcome(self, broken: float, mended: float, limit: float = ENDING) -> dict[str, Any]:
        """Wait for the end of the round, and say what became of it.

        Args:
            broken: Monotonic time from which on the way was broken.
            mended: Monotonic time from which on it was possible again.
            limit: Seconds that it may take from now.
        """
        assert self.user is not None
        return self.user.order("outcome", limit + LEAVING, limit=limit, broken=broken, mended=mended)

    def end_user(self) -> None:
        """End the user's process, as a person does who closes a terminal."""
        if self.user is not None:
            self.user.end()
            self.user = None

    def left_behind(self, seconds: float, known: set[int]) -> list[str]:
        """Give what still runs on the host of processes that should have ended.

        Args:
            seconds: How long they may take for it.
            known: Their numbers there.
        """
        deadline = time.monotonic() + seconds
        while left := [f"{pid} {' '.join(argv)}" for pid, argv in self.box.processes() if pid in known]:
            if time.monotonic() > deadline:
                return left
            time.sleep(POLL)
        return []

    def processes(self) -> set[int]:
        """Give the numbers of all of our processes on the host."""
        return {pid for pid, _ in self.box.processes()}

    def leave(self) -> list[str]:
        """End everything; give what would not end by itself, and end that too."""
        left = []
        if self.user is not None:
            try:
                self.user.order("leave", LEAVING)
            except RuntimeError as error:
                left.append(str(error))
        self.end_user()
        known = self.processes()
        left += self.left_behind(LEAVING, known)
        for pid in known & self.processes():
            with suppress(ProcessLookupError):
                self.box.kill(pid, signal.SIGKILL)
        return [*left, *self._sessions_left()]

    def _sessions_left(self) -> list[str]:
        """Give, and end, this user's session processes that are still here after a while."""
        deadline = time.monotonic() + LEAVING
        while (left := self.sessions()) and time.monotonic() < deadline:
            time.sleep(POLL)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return [f"here: the session process {pid}" for pid in left]

    def sessions(self) -> list[int]:
        """Give the numbers of this user's session processes."""
        mark = f"XDG_RUNTIME_DIR={self.folder}/run".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_session = b"simmate_remote.session" in (process / "cmdline").read_bytes().split(b"\0")
                if is_session and mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def evidence(self) -> str:
        """Give the ends of the logs on this side, and of the keeper's."""
        logs = [self.log, *self.folder.glob("state/simmate-remote/sessions/*.log")]
        here = [f"== {log.name}\n{log.read_text()[-6000:]}" for log in logs if log.exists()]
        there = self.box.run("tail -n 30 ~/simmate-remote/keepers/*.log ~/simmate-remote/logs/*/keeper.log").stdout
        return "\n".join([*here, "== keeper, on the host", there])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        shutil.rmtree(self.folder, ignore_errors=True)
