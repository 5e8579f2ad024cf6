"""The version of the tables: made and upgraded by Alembic, and those of a newer program left as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from simmate_remote.database.pool import SQLITE_BEGIN
from simmate_remote.errors import DatabaseNewerError, Remedy

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

VERSION_TABLE = "simmate_remote_version"
_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_FILE = re.compile(r"(\d{4})_\w+\.py")
_LOCK = 0x53494D52
"""The number of the advisory lock under which one process upgrades; any number serves that nobody else uses."""


def known_versions() -> list[str]:
    """List the versions of the tables that this program knows, the oldest first.

    They are the numbers that the files of migrations begin with: reading a folder is quicker than importing Alembic.
    """
    return sorted(match[1] for path in _VERSIONS.iterdir() if (match := _FILE.fullmatch(path.name)))


def version_of(connection: Connection) -> str | None:
    """Give the version of the tables that are there; None: there are none of ours."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
    return version


def upgrade(engine: Engine) -> tuple[str | None, str | None]:
    """Make the tables what this program expects, one process at a time, all of it or nothing.

    Returns:
        The version before and the one now.

    Raises:
        DatabaseNewerError: They are of a newer version of this program, and were not touched.
    """
    known = known_versions()
    # SQLite, too, lets one process at a time do this: others wait instead of failing.
    with engine.execution_options(**{SQLITE_BEGIN: "IMMEDIATE"}).begin() as connection:
        before = version_of(connection)
        refuse_newer(before, known)
        if known and before != known[-1]:
            _take_turns(connection)
            before = version_of(connection)  # another process may have done it meanwhile
            refuse_newer(before, known)
            _run(connection)
    return before, known[-1] if known else before


def refuse_newer(version: str | None, known: list[str]) -> None:
    """Refuse tables of a version that this program does not know.

    Args:
        version: That of the tables; None: there are none.
        known: The versions that this program knows.

    Raises:
        DatabaseNewerError: They are of a newer version of this program, and were not touched.
    """
    if version is not None and version not in known:
        newest = f"the newest that this program knows is {known[-1]}" if known else "this program knows none"
        raise DatabaseNewerError(
            f"the tables of the database are of version {version}, and {newest}: a newer simmate-remote made them",
            meanwhile="nothing was changed in the database",
            remedies=(Remedy("python -m pip install --upgrade simmate-remote", "gets the newer program here, too"),),
        )


def _take_turns(connection: Connection) -> None:
    from sqlalchemy import text

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    configuration = Config(attributes={"connection": connection})
    configuration.set_main_option("script_location", str(_VERSIONS.parent).replace("%", "%%"))
    command.upgrade(configuration, "head")
