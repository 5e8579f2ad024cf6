"""The embedded server, as those who use it see it: it is there when it is needed."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from simmate_remote.database.embedded.place import Place, lock, locked
from simmate_remote.environment.detached import start_detached
from simmate_remote.errors import error_from_dict


class Hold:
    """Somebody uses the server: it is not stopped before this is given back, or this process dies.

    Args:
        place: The server's place; its folder is made if need be.
    """

    def __init__(self, place: Place) -> None:
        place.make()
        self._file = lock(place.users, fcntl.LOCK_SH)

    def give_back(self) -> None:
        """Let the server be stopped, as far as this is concerned."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.give_back()


def ensure(place: Place, lease: float) -> Path:
    """Give the folder of the server's socket; the server is started if need be.

    Whoever calls this has a :class:`Hold`.

    Args:
        place: The server's place.
        lease: Seconds that it stays when nobody uses it.

    Raises:
        DatabaseError: It cannot be started, and why.
    """
    if (folder := place.socket_folder()) is not None:
        return folder
    try:
        with locked(place.starting, fcntl.LOCK_EX):
            if (folder := place.socket_folder()) is None:
                _start(place, lease)
                folder = place.socket_folder()
    except TimeoutError as error:
        raise place.wrong("another process has been starting the database for a minute") from error
    if folder is None:
        raise place.wrong("the embedded database stopped as soon as it had started")
    return folder


def _start(place: Place, lease: float) -> None:
    place.shorten_log()
    request = {"folder": str(place.folder), "lease": lease}
    _, answer = start_detached("simmate_remote.database.embedded.supervisor", request, place.log)
    if not answer:
        raise place.wrong("the supervisor of the embedded database died as it started", _tail(place.log))
    if "error" in (said := json.loads(answer)):
        raise error_from_dict(said["error"])


def _tail(path: Path, size: int = 2000) -> str | None:
    return path.read_bytes()[-size:].decode(errors="replace").strip() or None
