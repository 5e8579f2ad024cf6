"""What of ours is on the host: living keepers, and what dead ones and broken examinations left behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from simmate_remote.keeper.host.family import MARK
from simmate_remote.keeper.host.record import keepers_folder, read_record

PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - where keepers make their folders
OURS = re.compile(r"simmate-remote-(doctor-)?[0-9a-f]{12}")
TRIAL = re.compile(r"\.simmate-remote-doctor-\w+")
YOUNG = 60.0
"""Seconds during which a folder may belong to a keeper, or an examination, that has not got further yet."""


def look(folder: str) -> dict[str, Any]:
    """List all of it.

    Args:
        folder: Our folder; ``~`` is the home.
    """
    place = Path(os.path.expanduser("~"), os.path.expanduser(folder))
    records = [record for path in sorted(keepers_folder(place).glob("*.json")) if (record := read_record(path))]
    return {
        "keepers": [
            {"hostname": each.hostname, "pid": each.pid, "since": each.since, "alive": _alive(Path(each.runtime))}
            for each in records
        ],
        "dead_folders": [str(path) for path in dead_folders(place)],
        "orphans": orphans(),
        "packages": len(list((place / "packages").glob("*"))) if (place / "packages").is_dir() else 0,
    }


def remove(folder: str) -> list[str]:
    """Remove the folders of which nothing lives any more, and give them.

    Args:
        folder: Our folder; ``~`` is the home.
    """
    removed = dead_folders(Path(os.path.expanduser("~"), os.path.expanduser(folder)))
    for path in removed:
        shutil.rmtree(path)
    return [str(path) for path in removed]


def dead_folders(place: Path) -> list[Path]:
    """Find the folders of ours in which nobody listens any more."""
    parents = {os.environ.get("TMPDIR") or PARENTS[0], *PARENTS}
    found = [path for parent in sorted(parents) for path in _entries(Path(parent)) if OURS.fullmatch(path.name)]
    trials = [
        path for parent in (Path.home(), place, place.parent) for path in _entries(parent) if TRIAL.fullmatch(path.name)
    ]
    return [path for path in dict.fromkeys(found + trials) if _ours_and_old(path) and not _alive(path)]


def orphans() -> list[int]:
    """Find the processes of a keeper whose folder is gone, and so the keeper."""
    found = []
    for entry in os.scandir("/proc"):
        try:
            if not entry.name.isdecimal() or entry.stat().st_uid != os.getuid():
                continue
            variables = Path(entry.path, "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        marks = [each.partition(b"=")[2] for each in variables if each.startswith(f"{MARK}=".encode())]
        # A login that has just begun has none yet.
        if marks and marks[0].startswith(b"/") and not os.path.isdir(marks[0]):
            found.append(int(entry.name))
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _ours_and_old(path: Path) -> bool:
    try:
        state = path.lstat()
    except OSError:
        return False
    return (
        path.is_dir() and not path.is_symlink() and state.st_uid == os.getuid() and time.time() - state.st_mtime > YOUNG
    )


def _alive(folder: Path) -> bool:
    """Say whether somebody listens on one of the sockets of a folder."""
    for path in [entry for entry in _entries(folder) if entry.is_socket()] + [
        entry for below in _entries(folder) if below.is_dir() for entry in _entries(below) if entry.is_socket()
    ]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(str(path))
            except (BlockingIOError, TimeoutError):
                return True  # so many wait for an answer that there is no room for one more
            except OSError:
                continue
            return True
    return False
