"""What of ours is on this machine: session processes, their sockets, and nothing else after a failure."""

from __future__ import annotations

import os
import time
from pathlib import Path

from simmate_remote.inventory.runtime_folder import runtime_folder

LEAVING = 10.0  # seconds that a session gets to end


def session_processes() -> list[int]:
    """Find the session processes of this test's user, who has a run folder of their own."""
    mark = f"XDG_RUNTIME_DIR={os.environ['XDG_RUNTIME_DIR']}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        process = Path("/proc", pid)
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"simmate_remote.session" in words and mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(pid))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # somebody else's, or it ended while we looked
    return found


def assert_nothing_left_here() -> None:
    """Fail if a session process or a socket of ours is still here after a while."""
    deadline = time.monotonic() + LEAVING
    while (left := [*session_processes(), *runtime_folder().glob("*.sock")]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left
