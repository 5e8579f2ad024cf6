"""The embedded database of a test's user, looked at from outside, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from simmate_remote.database.embedded.place import Place
from tests.hosts import wait_until


def place_in(data: Path) -> Place:
    """Give the place of the embedded database below a folder for users' data."""
    return Place(data / "simmate-remote" / "database")


def supervisor_of(place: Place) -> int | None:
    """Give the number of the supervisor that lives."""
    try:
        number = int(place.supervising.read_text().partition(" ")[2])
        command = Path(f"/proc/{number}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError):
        return None
    return number if b"simmate_remote.database.embedded.supervisor" in command else None


def server_of(place: Place) -> int:
    """Give the number of the server that lives."""
    return int((place.data / "postmaster.pid").read_text().split()[0])


def end_database(data: Path) -> None:
    """End the embedded database, if there is one; also one that a session in its last moments has just started."""
    asked: set[int] = set()

    def has_ended() -> bool:
        number = supervisor_of(place_in(data))
        if number is not None and number not in asked:
            asked.add(number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        return number is None

    wait_until(has_ended, 45, "the end of the database's supervisor")
