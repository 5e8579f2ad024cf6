"""A server that has no connection left: how that looks, how long it is waited for, and what is said in the end."""

from __future__ import annotations

from typing import NoReturn

from simmate_remote.errors import DatabaseUnreachableError, Remedy

PATIENCE = 60.0
"""Seconds to wait for others to give a connection back, where a person may be waiting."""

PATIENCE_THERE = 300.0
"""The same in a process of a host."""

IDLE = 10.0
"""Seconds after which a process of a host gives back the connection that it does not use."""

KEPT = 1
MORE = 14
"""How many connections the pool of a host's process keeps, and how many more it may make for a moment."""

_SAID = ("too many clients already", "remaining connection slots are reserved", "too many connections for ")
"""What stands for sqlstate 53300; libpq gives no code where a connection failed."""


def is_crowded(said: str) -> bool:
    """Say whether a connection failed because the server has none left; one that speaks another language is not heard.

    Args:
        said: The error's text.
    """
    return any(each in said for each in _SAID)


def give_up(where: str, since: float, said: str) -> NoReturn:
    """Say that no connection has become free.

    Args:
        where: Which database, for people.
        since: When that was first so.
        said: The server's words.

    Raises:
        DatabaseUnreachableError: Always.
    """
    raise DatabaseUnreachableError(
        f"the database has no connection left, too many programs and workers hold one: {where}",
        since=since,
        meanwhile="what is connected goes on; nothing of this was written",
        remedies=(
            Remedy(
                "simmate-remote database shell -c 'SELECT pid, application_name, state FROM pg_stat_activity'",
                "shows who is connected, once there is room for it",
            ),
        ),
        detail=said,
    )
