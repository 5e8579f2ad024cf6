"""The programs and data that a host's file names: are they there, and can they be run or read."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

LIMIT = 5.0


def look(programs: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Look for each.

    Args:
        programs: Name to a command, which is looked for on PATH, or to a path; ``~`` is the home.

    Returns:
        Name to its ``path`` (None: not found), ``kind`` (program, folder, file) and ``problem`` (None: none).
    """
    return {name: look_at(place) for name, place in programs.items()}


def look_at(place: str) -> dict[str, Any]:
    """Look for one of them."""
    if "/" not in place:
        path = shutil.which(place)
        if path is None:
            return {"path": None, "kind": "program", "problem": f"no {place} is on PATH ({os.environ.get('PATH', '')})"}
        return {"path": path, "kind": "program", "problem": _missing_libraries(path)}
    path = os.path.expanduser(place)
    if os.path.isdir(path):
        try:
            problem = None if os.listdir(path) else "the folder is empty"
        except OSError as error:
            problem = f"the folder cannot be read: {error.strerror}"
        return {"path": path, "kind": "folder", "problem": problem}
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError as error:
        if os.access(path, os.X_OK):
            return {"path": path, "kind": "program", "problem": None}  # may be run, and not be read
        return {"path": None if not os.path.exists(path) else path, "kind": "file", "problem": str(error.strerror)}
    if head != b"\x7fELF" and not head.startswith(b"#!"):
        return {"path": path, "kind": "file", "problem": None}
    problem = _missing_libraries(path) if os.access(path, os.X_OK) else "it is a program, and may not be executed"
    return {"path": path, "kind": "program", "problem": problem}


def _missing_libraries(path: str) -> str | None:
    """Ask the loader which libraries a program wants and does not find (ldd(1))."""
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return None
        done = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    missing = [line.split()[0] for line in done.stdout.splitlines() if line.rstrip().endswith("=> not found")]
    return f"it cannot be loaded: {', '.join(missing)} not found" if missing else None
