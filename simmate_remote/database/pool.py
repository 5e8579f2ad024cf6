"""The pool of connections of this process, made when it is first asked for."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from simmate_remote.database import crowding, lent
from simmate_remote.database.lent import Lent
from simmate_remote.errors import DatabaseFullError, DatabasePackagesError, Remedy

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, ExceptionContext
    from sqlalchemy.orm import Session, sessionmaker

    from simmate_remote.database.configuration import Configuration

SQLITE_BEGIN = "sqlite_begin"
"""The execution option that says how a transaction of SQLite begins: ``IMMEDIATE`` takes the right to write at once."""

_making = threading.Lock()


def engine() -> Engine:
    """Give the pool of connections to the database that is configured; each connection is checked before it is lent.

    Raises:
        DatabaseError: The configuration is wrong, or this Python lacks what the database needs.
    """
    where: Configuration | Lent | None = lent.of_this_process()
    if where is None:
        # Here and not above: the Python of a host may be without what this needs.
        from simmate_remote.database.configuration import load

        where = load()
    with _making:
        return _engine(where)


def session() -> sessionmaker[Session]:
    """Give what makes SQLAlchemy sessions over the pool."""
    return _session(engine())


@functools.cache
def _session(engine: Engine) -> sessionmaker[Session]:
    from sqlalchemy.orm import sessionmaker

    return sessionmaker(engine)


@functools.cache
def _engine(where: Configuration | Lent) -> Engine:
    made = make_engine(where)
    # A forked process must not use its parent's connections, nor close them.
    os.register_at_fork(after_in_child=functools.partial(made.dispose, close=False))
    return made


def make_engine(where: Configuration | Lent) -> Engine:
    """Make a pool of connections.

    Args:
        where: Which database; in a process of a host, how it is lent.

    Raises:
        DatabasePackagesError: This Python lacks what the database needs.
    """
    try:
        import psycopg  # noqa: F401 - SQLAlchemy wants it
        import sqlalchemy
    except ImportError as error:
        raise DatabasePackagesError(
            f"the Python {sys.executable} lacks what the database needs: {error}",
            remedies=(Remedy("simmate-remote setup HOST", "where this is a host: makes its Python equal to yours"),),
        ) from error

    if not isinstance(where, Lent) and where.kind == "sqlite":
        made = sqlalchemy.create_engine(
            sqlalchemy.URL.create("sqlite", database=where.url), connect_args={"timeout": 60}
        )
        sqlalchemy.event.listen(made, "connect", _prepare_sqlite)
        sqlalchemy.event.listen(made, "begin", _begin_sqlite)
        return made
    creator = functools.partial(_connect, where)
    sizes = {"pool_size": crowding.KEPT, "max_overflow": crowding.MORE} if isinstance(where, Lent) else {}
    made = sqlalchemy.create_engine("postgresql+psycopg://", creator=creator, pool_pre_ping=True, **sizes)
    if isinstance(where, Lent):
        _GivesBack(made)
    sqlalchemy.event.listen(made, "handle_error", _say_that_it_is_full)
    return made


class _GivesBack:
    """Closes what a pool keeps when it has not been used for a while: there may be more workers than connections.

    Args:
        engine: Has the pool.
    """

    def __init__(self, engine: Engine) -> None:
        import sqlalchemy

        self._engine = engine
        self._used = 0.0
        self._timer: threading.Timer | None = None
        sqlalchemy.event.listen(engine, "checkin", self._keep)

    def _keep(self, *_: Any) -> None:
        self._used = time.monotonic()
        # One of the process that this one was forked from does not live here.
        if self._timer is None or not self._timer.is_alive():
            self._look_in(crowding.IDLE)

    def _look_in(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.name, self._timer.daemon = "database-idle", True
        self._timer.start()

    def _look(self) -> None:
        left = self._used + crowding.IDLE - time.monotonic()
        if left > 0:
            self._look_in(left)
            return
        self._timer = None  # what is given back next begins another one
        if self._engine.pool.checkedout() <= 0:  # type: ignore[attr-defined]  # it is a QueuePool
            self._engine.pool.dispose()


def _connect(where: Configuration | Lent) -> Any:
    if isinstance(where, Lent):
        return lent.connect(where)
    from simmate_remote.database.connecting import connect

    return connect(where)


def _say_that_it_is_full(context: ExceptionContext) -> None:
    from psycopg.errors import DiskFull

    if isinstance(context.original_exception, DiskFull):
        raise DatabaseFullError(
            "no space is left on the disk under the database",
            meanwhile="this transaction was undone; what was committed is kept",
            remedies=(Remedy("simmate-remote database status", "shows where the database is"),),
            detail=str(context.original_exception).strip(),
        ) from context.original_exception


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # or it would begin transactions of its own, and end them before a table is made
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(SQLITE_BEGIN, '')}")
