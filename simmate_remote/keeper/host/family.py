"""The processes of this user that belong to us: below one of ours, or with our mark in their environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MARK = "SIMMATE_REMOTE_RUNTIME"
"""The variable with the runtime folder of the keeper to which a process belongs; all that a keeper starts has it."""


def descendants(root: int) -> list[int]:
    """Find the living processes below one, and its own children that have ended and are not yet reaped."""
    parents: dict[int, int] = {}
    for pid in _all():
        try:
            # The name in parentheses may hold anything; what follows the last one does not.
            state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z" or int(parent) == os.getpid():
            parents[pid] = int(parent)
    below: set[int] = set()
    new = {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new and pid not in below}
        below |= new
    return sorted(below)


def marked(value: Path | str, variable: str = MARK) -> list[int]:
    """Find the living processes that bear a mark, by default that of a keeper, wherever they are by now."""
    return [pid for pid in _all() if pid != os.getpid() and is_marked(pid, value, variable)]


def is_marked(pid: int, value: Path | str, variable: str = MARK) -> bool:
    """Say whether a process lives that bears a mark, by default that of a keeper."""
    try:
        return f"{variable}={value}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended, or another user's
        return False


def _all() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())
