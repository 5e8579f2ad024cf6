"""The database: one pool of connections that works the same here, serially, and in a worker on a host.

::

    from simmate_remote.database import engine, session

    with session.begin() as rows:
        rows.add(...)

``engine`` is a SQLAlchemy ``Engine``, ``session`` its ``sessionmaker``; both are made when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    engine: Engine
    session: sessionmaker[Session]

__all__ = ["engine", "session"]


def __getattr__(name: str) -> Any:
    # On demand: SQLAlchemy's import takes 0.3 s, and the Python of a host may be without it.
    if name in __all__:
        from simmate_remote.database import pool

        return pool.engine() if name == "engine" else pool.session()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
