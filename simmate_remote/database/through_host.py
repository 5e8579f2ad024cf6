"""A database that only a host reaches: its session makes a socket here that leads there."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.embedded.place import SOCKET
from simmate_remote.errors import DatabaseUnreachableError, Remedy
from simmate_remote.inventory.runtime_folder import runtime_folder


def socket_of(host: str) -> Path:
    """Give the socket through which a host's session leads to the database there; its folder is made if need be."""
    folder = runtime_folder() / f"database-{hashlib.sha256(host.encode()).hexdigest()[:10]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / SOCKET


def way_through(configuration: Configuration) -> Path:
    """Give the socket that leads to the database.

    Raises:
        DatabaseUnreachableError: No session has made one.
    """
    assert configuration.host is not None
    path = socket_of(configuration.host)
    if path.exists():
        return path
    raise DatabaseUnreachableError(
        f"the database is reached from {configuration.host}, and nothing is connected to that host",
        remedies=(Remedy(f"simmate-remote connect {shlex.quote(configuration.host)}", "makes the way to it"),),
    )
