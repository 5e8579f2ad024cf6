"""Postgres' own programs, pointed at the database: what they are given, and no password among their arguments."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.connecting import way_of
from simmate_remote.database.embedded.place import DATABASE, USER, Place, programs
from simmate_remote.database.embedded.server import Hold, ensure
from simmate_remote.database.gateway import gateway
from simmate_remote.database.url import TLS


@dataclass(frozen=True)
class ClientPrograms:
    """Postgres' programs, and how they reach the database.

    Args:
        folder: Where the programs are.
        address: What they are told of the database, as one argument.
        environment: Their environment; a password is in there, if it is not in a file.
    """

    folder: Path
    address: str
    environment: dict[str, str]


@contextlib.contextmanager
def client_programs(configuration: Configuration) -> Iterator[ClientPrograms]:
    """Give Postgres' programs for the time of a block, in which the embedded server is kept running."""
    from psycopg.conninfo import make_conninfo

    place = Place(configuration.folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if configuration.kind == "embedded":
        hold = Hold(place)
        try:
            way = ensure(place, configuration.lease)
            said = {"host": str(way), "user": USER, "dbname": DATABASE, "passfile": str(place.passwords)}
            address = make_conninfo("", **said, require_auth="scram-sha-256")
            yield ClientPrograms(programs(place.data), address, environment)
        finally:
            hold.give_back()
        return
    said = way_of(configuration)
    if password := said.pop("password", None):
        environment["PGPASSWORD"] = password
    with contextlib.ExitStack() as stack:
        if not said["host"].startswith("/"):
            # These programs were built without TLS; so what is encrypted is the way from here.
            said = {name: text for name, text in said.items() if name not in ("port", "hostaddr", *TLS)}
            said["host"] = str(stack.enter_context(gateway(configuration)))
        yield ClientPrograms(programs(place.data), make_conninfo("", **said), environment)
