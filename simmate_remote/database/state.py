"""What there is to know of the database: whether it answers, how large it is, which tables it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.embedded.place import Place
from simmate_remote.database.plain import Plain
from simmate_remote.database.schema import VERSION_TABLE, known_versions


@dataclass(frozen=True)
class DatabaseState:
    """What there is to know of the database.

    Args:
        kind: ``embedded``, ``postgresql`` or ``sqlite``.
        address: Where it is, without a password.
        source: Who says that it is this one.
        reach: From where it is reached: ``here``, or a host's name.
        state: ``answers``, ``stopped`` (it starts when it is needed), or ``not made yet``.
        server: The server's version, where it answers.
        version: The version of the tables; None: there are none, or nobody answers.
        expected: The version of the tables that this program makes.
        size: Bytes.
    """

    kind: str
    address: str
    source: str
    reach: str
    state: str
    server: str | None
    version: str | None
    expected: str
    size: int | None


def look(configuration: Configuration) -> DatabaseState:
    """Look at the database; an embedded one is not started for it.

    Raises:
        DatabaseError: It does not answer, though it should.
    """
    known = known_versions()
    about: dict[str, Any] = {
        "kind": configuration.kind,
        "address": configuration.shown,
        "source": configuration.source,
        "reach": configuration.host or "here",
        "expected": known[-1] if known else "none",
        "server": None,
        "version": None,
        "size": None,
    }
    if configuration.kind == "embedded":
        place = Place(configuration.folder)
        if not place.data.exists():
            return DatabaseState(**about, state="not made yet")
        if place.socket_folder() is None:
            return DatabaseState(**{**about, "size": _size(place.data)}, state="stopped")
    if configuration.kind == "sqlite" and not Path(configuration.url).exists():
        return DatabaseState(**about, state="not made yet")
    plain = Plain(configuration)
    try:
        if configuration.kind == "sqlite":
            names, server = "sqlite_master WHERE name", "SQLite " + str(plain.rows("SELECT sqlite_version()")[0][0])
            about["size"] = Path(configuration.url).stat().st_size
        else:
            names, server = "pg_tables WHERE tablename", "PostgreSQL " + str(plain.rows("SHOW server_version")[0][0])
            about["size"] = plain.rows("SELECT pg_database_size(current_database())")[0][0]
        about["server"] = server
        if plain.rows(f"SELECT 1 FROM {names} = '{VERSION_TABLE}'"):  # noqa: S608 - constants
            about["version"] = plain.rows(f"SELECT version_num FROM {VERSION_TABLE}")[0][0]  # noqa: S608
    finally:
        plain.close()
    return DatabaseState(**about, state="answers")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
