"""A bare connection to the database, for what has to start at once or stay small: it imports no SQLAlchemy.

Statements name their parameters ``:so`` whatever the database is.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from simmate_remote.database.configuration import Configuration, load
from simmate_remote.database.connecting import connect
from simmate_remote.database.schema import VERSION_TABLE, known_versions, refuse_newer
from simmate_remote.errors import DatabaseFullError, DatabaseUnreachableError

if TYPE_CHECKING:
    import psycopg

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that writes to SQLite."""

AT_ONCE = 500
"""Rows that are fetched at once of a long listing."""

_NO_SPACE = "53100"

Parameters = Mapping[str, Any]


class Plain:
    """One connection; :func:`open_plain` makes it. What is not inside :meth:`transaction` is committed at once.

    Args:
        configuration: Which database.

    Raises:
        DatabaseError: There is no connection, and why.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._sqlite: sqlite3.Connection | None = None
        self._postgres: psycopg.Connection[Any] | None = None
        if configuration.kind == "sqlite":
            self._sqlite = _open_sqlite(configuration.url)
        else:
            self._postgres = connect(configuration, autocommit=True)

    @property
    def dialect(self) -> Literal["postgresql", "sqlite"]:
        """Which kind it is, as SQLAlchemy calls it."""
        return "sqlite" if self._sqlite is not None else "postgresql"

    def rows(self, statement: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Execute a query, and give all its rows."""
        with _translated():
            return list(self._execute(statement, parameters))

    def row(self, statement: str, parameters: Parameters | None = None) -> tuple[Any, ...] | None:
        """Execute a query, and give its first row; None: there is none."""
        with _translated():
            row = self._execute(statement, parameters).fetchone()
        return None if row is None else tuple(row)

    def stream(self, statement: str, parameters: Parameters | None = None) -> Iterator[tuple[Any, ...]]:
        """Execute a query, and yield its rows; only a few of them are in memory at a time."""
        with _translated():
            if self._postgres is None:
                yield from self._execute(statement, parameters)
                return
            with self._postgres.transaction(), self._postgres.cursor("simmate_remote") as cursor:
                cursor.itersize = AT_ONCE
                cursor.execute(_for_postgres(statement), parameters)
                yield from cursor

    def change(self, statement: str, parameters: Parameters | None = None) -> int:
        """Execute a statement, and give how many rows it changed."""
        with _translated():
            return int(self._execute(statement, parameters).rowcount)

    def change_many(self, statement: str, parameters: Sequence[Parameters]) -> None:
        """Execute a statement for each of many sets of parameters."""
        if not parameters:
            return
        with _translated():
            if self._sqlite is not None:
                self._sqlite.executemany(statement, parameters)
                return
            assert self._postgres is not None
            with self._postgres.cursor() as cursor:
                cursor.executemany(_for_postgres(statement), parameters)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all of the block, or nothing."""
        with _translated():
            if self._postgres is not None:
                with self._postgres.transaction():
                    yield
                return
            assert self._sqlite is not None
            # Not when the first row is written: what was read before would then be a reason to fail.
            self._sqlite.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sqlite.commit()
            except BaseException:
                self._sqlite.rollback()
                raise

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Within a transaction: take back what the block did if it raises, and nothing else."""
        with _translated():
            if self._postgres is not None:
                with self._postgres.transaction():
                    yield
                return
            assert self._sqlite is not None
            self._sqlite.execute("SAVEPOINT part")
            try:
                yield
            except BaseException:
                self._sqlite.execute("ROLLBACK TO part")
                raise
            finally:
                self._sqlite.execute("RELEASE part")

    def close(self) -> None:
        """Close it."""
        connection = self._sqlite or self._postgres
        assert connection is not None
        connection.close()

    def _execute(self, statement: str, parameters: Parameters | None) -> Any:
        if self._sqlite is not None:
            return self._sqlite.execute(statement, parameters or {})
        assert self._postgres is not None
        return self._postgres.execute(_for_postgres(statement), parameters or {})


def open_plain(configuration: Configuration | None = None) -> Plain:
    """Connect to the database, and make its tables what this program expects.

    Args:
        configuration: Which database; default: the user's.

    Raises:
        DatabaseError: There is no connection, or the tables are of a newer version of this program.
    """
    configuration = configuration or load()
    plain = Plain(configuration)
    try:
        known, version = known_versions(), _version(plain)
        if version != known[-1]:
            refuse_newer(version, known)
            _upgrade(configuration)
    except BaseException:
        plain.close()
        raise
    return plain


def refuses(error: Exception) -> bool:
    """Say whether an error means that the database does not take these values, whatever else it would take."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | OverflowError | UnicodeError):
        return True
    if not type(error).__module__.startswith("psycopg"):
        return False
    import psycopg

    # The last one is what a trigger raises.
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError | psycopg.errors.RaiseException)


def _upgrade(configuration: Configuration) -> None:
    # Once for each version of the tables; only this takes SQLAlchemy and Alembic.
    from simmate_remote.database.pool import make_engine
    from simmate_remote.database.schema import upgrade

    engine = make_engine(configuration)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def _version(plain: Plain) -> str | None:
    if plain.dialect == "sqlite":
        there = plain.row("SELECT 1 FROM sqlite_master WHERE name = :name", {"name": VERSION_TABLE})
    else:
        there = plain.row("SELECT 1 WHERE to_regclass(:name) IS NOT NULL", {"name": VERSION_TABLE})
    found = plain.row(f"SELECT version_num FROM {VERSION_TABLE}") if there else None  # noqa: S608 - a constant
    return str(found[0]) if found else None


def _open_sqlite(path: str) -> sqlite3.Connection:
    try:
        # It may be used by one thread after another.
        connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise DatabaseUnreachableError(f"the database {path} cannot be opened: {error}") from error
    return connection


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translate what a driver raises when the database is gone, or has no space; a statement's own faults stay."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise (DatabaseFullError if "full" in str(error) else DatabaseUnreachableError)(str(error)) from error
    except Exception as error:
        # Not by its class: who uses SQLite does not import it.
        if not type(error).__module__.startswith("psycopg") or not _is_operational(error):
            raise
        no_space = getattr(error, "sqlstate", None) == _NO_SPACE
        raise (DatabaseFullError if no_space else DatabaseUnreachableError)(str(error).strip()) from error


def _is_operational(error: Exception) -> bool:
    import psycopg

    return isinstance(error, psycopg.OperationalError)


@functools.cache
def _for_postgres(statement: str) -> bytes:
    return re.sub(r"(?<!:):([a-z_]\w*)", r"%(\1)s", statement.replace("%", "%%")).encode()
