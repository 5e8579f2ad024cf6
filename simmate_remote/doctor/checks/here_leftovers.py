"""What sessions and databases that were killed left here: sockets, folders, processes that nobody reaches."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

import platformdirs

from simmate_remote.database.embedded.place import SOCKET, SOCKETS
from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import Remedy
from simmate_remote.inventory.runtime_folder import runtime_folder
from simmate_remote.session.paths import all_sockets

SESSION = b"simmate_remote.session"
DATABASES = Path("/tmp")  # noqa: S108 - where their folders are made, with mode 0700
YOUNG = 60.0
"""Seconds during which a folder may belong to a server that has not got further yet."""

ENDING = 8.0
"""Seconds that a session gets to end."""


class HereLeftovers(Check):
    """What sessions and databases that were killed left: dead sockets, folders, processes that nobody can reach."""

    name = "here-leftovers"
    title = "what old sessions left"
    why = "it takes room, or holds a login that nobody can end"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        return await asyncio.to_thread(_look)

    async def fix(self, about: Examination, finding: Finding) -> str | None:
        if "sockets" not in finding.data:
            return None  # it could not be looked for
        for path in map(Path, finding.data["sockets"]):
            path.unlink(missing_ok=True)
        for folder in finding.data["folders"]:
            shutil.rmtree(folder, ignore_errors=True)
        for pid in finding.data["processes"]:
            # A session ends in good order, and logs out.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        await asyncio.to_thread(_wait_for_end, finding.data["processes"])
        return f"removed {finding.reason}"


def _look() -> Finding:
    sockets = [path for path in [*all_sockets(), *_errand_sockets()] if not _answers(path)]
    folders, databases = _folders_of_dead_logins(), _folders_of_dead_databases()
    processes = _unreachable_sessions()
    data: dict[str, Any] = {
        "sockets": [str(path) for path in sockets],
        "folders": [str(path) for path in [*folders, *databases]],
        "processes": processes,
    }
    wrong = []
    if sockets:
        wrong.append(f"sockets on which nobody listens: {', '.join(path.name for path in sockets)}")
    if folders:
        wrong.append(f"folders of logins that ended: {', '.join(map(str, folders))}")
    if databases:
        wrong.append(f"folders of databases that ended: {', '.join(map(str, databases))}")
    if processes:
        wrong.append(f"session processes that nobody can reach: {', '.join(map(str, processes))}")
    if wrong:
        mend = Remedy("simmate-remote doctor --only here-leftovers --fix", "removes, and ends, them")
        return Finding.warning("; ".join(wrong), mend, **data)
    living = len(all_sockets())
    return Finding.ok(f"nothing; {living} session{'s' * (living != 1)} connected" if living else "nothing", **data)


def _wait_for_end(processes: list[int]) -> None:
    deadline = time.monotonic() + ENDING
    while any(map(_is_session, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)


def _errand_sockets() -> list[Path]:
    return [path for path in sorted(runtime_folder().iterdir()) if path.is_socket() and path.suffix != ".sock"]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return True  # it is busy, and so it lives
        except OSError:
            return False
        return True


def _folders_of_dead_logins() -> list[Path]:
    """Find the folders of OpenSSH logins that no process holds: each locks its own while it lives."""
    parents = {Path(tempfile.gettempdir()), Path("/tmp")}  # noqa: S108 - where they are made, with mode 0700
    found = []
    for path in sorted(path for parent in parents for path in parent.glob(f"simmate-remote-ssh-{os.getuid()}-*")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.getuid():
                found.append(path)
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return found


def _folders_of_dead_databases() -> list[Path]:
    """Find the folders of databases' sockets in which nobody listens any more."""
    owners = {os.getuid()}
    with contextlib.suppress(OSError):
        # Root's may have been given to another account.
        owners.add((platformdirs.user_data_path("simmate-remote") / "database" / "data").stat().st_uid)
    found = []
    for path in sorted(DATABASES.glob(f"{SOCKETS}*")):
        try:
            state = path.lstat()
        except OSError:
            continue  # it went meanwhile
        old = time.time() - state.st_mtime > YOUNG
        if stat.S_ISDIR(state.st_mode) and state.st_uid in owners and old and not _answers(path / SOCKET):
            found.append(path)
    return found


def _is_session(pid: int) -> bool:
    """Say whether a process is a session's; one that has ended, and is not yet reaped, is none any more."""
    try:
        return SESSION in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _unreachable_sessions() -> list[int]:
    """Find session processes whose control socket is gone (Linux: ``/proc/PID/fd``, proc(5))."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid != os.getuid() or not _is_session(int(entry.name)):
                continue
            locks = [Path(os.readlink(link)) for link in (entry / "fd").iterdir()]
        except OSError:
            continue  # it ended meanwhile, or there is no /proc
        locks = [path for path in locks if path.suffix == ".lock" and path.parent == runtime_folder()]
        if locks and not any(path.with_suffix(".sock").exists() for path in locks):
            found.append(int(entry.name))
    return sorted(found)
