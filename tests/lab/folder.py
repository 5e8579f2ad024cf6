"""Where labs keep their files, and how what a killed lab left behind is found and cleared away."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BASE = Path("/var/tmp/simmate-remote-lab")
LABS = BASE / "labs"
ENVIRONMENTS = BASE / "environments"


_own: set[Path] = set()


def make_base() -> None:
    """Make the folders that all labs share."""
    BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
    LABS.mkdir(mode=0o700, exist_ok=True)
    ENVIRONMENTS.mkdir(mode=0o755, exist_ok=True)


class LabFolder:
    """The folder of one lab, locked for as long as the process that made it lives.

    The lock is of the kind that a forked child does not inherit, so it tells of the maker alone.
    """

    def __init__(self) -> None:
        make_base()
        clear_leftovers()
        with _one_at_a_time():
            # The name is short because sockets live here, and their paths may have 107 bytes only.
            self.path = Path(tempfile.mkdtemp(prefix="lab-", dir=LABS))
            self._lock = (self.path / "lock").open("w")
            fcntl.lockf(self._lock, fcntl.LOCK_EX)
            _own.add(self.path)
        self._pids: dict[str, str] = {}

    def record_process(self, pid: int) -> None:
        """Remember a process that must not outlive the lab."""
        self._pids[str(pid)] = _start_time(pid)
        write_json(self.path / "pids.json", self._pids)

    def remove(self) -> None:
        """Delete the folder and give up the lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()
        _own.discard(self.path)


def clear_leftovers() -> None:
    """Clear away the labs whose maker is dead.

    Their processes end by themselves when their stdin does; the recorded ones are ended here in case something else
    still holds the other end of that pipe. Everything in the kernel goes with these processes.
    """
    with _one_at_a_time():
        # A lock of this process does not keep this process out, so its own labs are left out by name.
        for path in set(LABS.glob("lab-*")) - _own:
            try:
                with (path / "lock").open("r+") as lock:
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _end_processes(read_json(path / "pids.json"))
            except BlockingIOError:
                continue
            except FileNotFoundError:  # its maker died before it had a lock
                pass
            shutil.rmtree(path, ignore_errors=True)


def _end_processes(start_times: dict[str, Any]) -> None:
    for pid, start in start_times.items():
        if start and _start_time(int(pid)) == start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let no other process make or clear a lab's folder meanwhile."""
    with (BASE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_time(pid: int) -> str:
    """Return the clock tick at which a process began, which with its number names it for ever; empty: no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def write_json(path: Path, data: Any) -> None:
    """Write a file so that a reader sees either the old or the new content."""
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(data))
    new.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read such a file; one that does not exist is empty."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return data
