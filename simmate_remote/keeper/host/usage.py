"""What our processes on this machine use: memory, processor time, and since when, as ``ps`` shows them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from simmate_remote.keeper.host.appearance import shown_name
from simmate_remote.keeper.host.family import descendants

TICKS = os.sysconf("SC_CLK_TCK")


def usage(names: dict[int, str]) -> list[dict[str, Any]]:
    """Describe the guardian, the keeper, and everything below them.

    Args:
        names: What is known of them, process id to name; the others are called what they say they are, or else after
            the log that they write to.

    Returns:
        For each process: ``name``, ``pid``, ``since`` (seconds since the epoch), ``memory`` (bytes, its share of what
        several of them have in common), ``cpu`` (seconds), ``command`` (as the kernel names it).
    """
    guardian = os.getppid()
    # Its parent is whoever adopts orphans, if the guardian was killed a moment ago.
    below = descendants(guardian) if guardian != 1 else [os.getpid(), *descendants(os.getpid())]
    known = {guardian: "guardian", os.getpid(): "keeper", **names}
    found = (_describe(pid, known.get(pid)) for pid in [*({guardian} - {1}), *below])
    return [about for about in found if about is not None]


def _describe(pid: int, name: str | None) -> dict[str, Any] | None:
    place = Path(f"/proc/{pid}")
    try:
        head, _, rest = (place / "stat").read_text(errors="replace").rpartition(")")
        fields = rest.split()
        return {
            "name": name or shown_name(pid) or _log_of(place) or "",
            "pid": pid,
            "since": _boot_moment() + int(fields[19]) / TICKS,
            "memory": _memory(place),
            "cpu": (int(fields[11]) + int(fields[12])) / TICKS,
            "command": head.partition("(")[2],
        }
    except (OSError, ValueError, IndexError):
        return None  # it ended meanwhile


def _memory(place: Path) -> int:
    """Give the proportional set size: forked processes share most of their memory, and it is counted once."""
    for line in (place / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _log_of(place: Path) -> str | None:
    path = os.readlink(place / "fd" / "1")
    return Path(path).stem if path.endswith(".log") else None


def _boot_moment() -> float:
    """Give the moment from which the kernel counts the beginnings of processes, in seconds since the epoch."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
