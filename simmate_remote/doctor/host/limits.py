"""What the host limits for us: by setrlimit(2), and by control groups."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simmate_remote.doctor.host.machine import control_groups, read_number

NAMES = {
    "processes": resource.RLIMIT_NPROC,
    "files": resource.RLIMIT_NOFILE,
    "cpu_seconds": resource.RLIMIT_CPU,
    "address_space": resource.RLIMIT_AS,
    "file_size": resource.RLIMIT_FSIZE,
    "locked_memory": resource.RLIMIT_MEMLOCK,
}


def look() -> dict[str, Any]:
    """Give the hard limits, None where there is none, and how many processes and threads this user has."""
    groups = control_groups()
    return {
        **{name: _hard(number) for name, number in NAMES.items()},
        "group_processes": _smallest(groups, lambda group: read_number(group / "pids.max")),
        "group_memory": _smallest(groups, lambda group: read_number(group / "memory.max")),
        "running": _running(),
    }


def _hard(number: int) -> int | None:
    _, hard = resource.getrlimit(number)
    return None if hard == resource.RLIM_INFINITY else hard


def _smallest(groups: list[Path], read: Callable[[Path], int | None]) -> int | None:
    return min((number for group in groups if (number := read(group)) is not None), default=None)


def _running() -> int:
    """Count the threads of this user, which is what RLIMIT_NPROC counts."""
    count = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdecimal() and entry.stat().st_uid == os.getuid():
                count += len(os.listdir(os.path.join(entry.path, "task")))
        except OSError:
            continue
    return count
