"""One connection to Postgres, wherever it is; the reasons why there is none are translated here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from simmate_remote.database import crowding
from simmate_remote.database.configuration import Configuration
from simmate_remote.database.embedded.place import DATABASE, USER, Place
from simmate_remote.database.embedded.server import Hold, ensure
from simmate_remote.database.url import TLS, find_password, parameters_of
from simmate_remote.errors import (
    DatabaseConfigurationError,
    DatabaseError,
    DatabasePackagesError,
    DatabasePasswordError,
    DatabaseUnreachableError,
    Remedy,
)

if TYPE_CHECKING:
    import psycopg

PATIENCE = 60.0
"""Seconds for an embedded server that was killed to recover."""

PAUSE = 0.05
LONGEST_PAUSE = 1.0
CONNECT_TIMEOUT = "30"


def connect(configuration: Configuration, **options: Any) -> psycopg.Connection[Any]:
    """Connect to the database; the embedded server is started if need be, and stays as long as the connection.

    Args:
        configuration: Which database.
        options: Further options of ``psycopg.connect``.

    Raises:
        DatabaseError: There is no connection, and why.
    """
    try:
        import psycopg
        from psycopg.conninfo import make_conninfo
    except ImportError as error:
        raise DatabasePackagesError(f"this Python has no psycopg, which the database needs: {error}") from error
    if configuration.kind == "embedded":
        return _connect_embedded(configuration, options)
    began, pause = time.time(), PAUSE
    while True:
        try:
            return psycopg.connect(make_conninfo("", **way_of(configuration)), **options)
        except psycopg.Error as error:
            if not crowding.is_crowded(str(error)):
                raise reason(configuration, error) from error
            _wait_for_room(configuration, error, began, pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _wait_for_room(configuration: Configuration, error: psycopg.Error, began: float, pause: float) -> None:
    """Wait for a moment for a connection that somebody gives back.

    Raises:
        DatabaseUnreachableError: It was waited for long enough.
    """
    if time.time() - began > crowding.PATIENCE:
        crowding.give_up(configuration.shown, began, str(error).strip())
    time.sleep(pause)


def way_of(configuration: Configuration) -> dict[str, str]:
    """Give libpq's parameters of a server of one's own: where it is, or the way to it through its host.

    Raises:
        DatabaseUnreachableError: Nothing is connected to that host.
    """
    said = parameters_of(configuration.url)
    if (password := find_password(said)) is not None:
        said["password"] = password
    if configuration.host is not None:
        # Here and not above: it imports pydantic, which a short command does without.
        from simmate_remote.database.through_host import way_through

        # How it is encrypted is the affair of the session, which holds the way.
        said = {name: text for name, text in said.items() if name not in ("port", "hostaddr", *TLS)}
        said["host"] = str(way_through(configuration).parent)
    said.setdefault("connect_timeout", CONNECT_TIMEOUT)
    return said


def _connect_embedded(configuration: Configuration, options: dict[str, Any]) -> psycopg.Connection[Any]:
    import psycopg

    from simmate_remote.database.holding import HoldingConnection

    place = Place(configuration.folder)
    hold = Hold(place)
    limit = time.monotonic() + PATIENCE
    began, pause = time.time(), PAUSE
    while True:
        folder = ensure(place, configuration.lease)
        try:
            connection = HoldingConnection.connect(
                host=str(folder),
                user=USER,
                dbname=DATABASE,
                passfile=str(place.passwords),
                # A server that knows the password proves it by this, and never sees it.
                require_auth="scram-sha-256",
                **options,
            )
        except psycopg.OperationalError as error:
            if crowding.is_crowded(str(error)):
                _wait_for_room(configuration, error, began, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            # It was killed, or has just been started again and goes through what it had written.
            if time.monotonic() > limit or _is_about_password(error):
                raise reason(configuration, error) from error
            time.sleep(PAUSE)
        else:
            connection.hold = hold
            return connection


def _is_about_password(error: psycopg.Error) -> bool:
    # libpq has no code for why a connection failed; a server that speaks another language gets the general answer.
    return "password" in str(error) or "authentication" in str(error)


def reason(configuration: Configuration, error: psycopg.Error) -> DatabaseError:
    """Say in our words why there is no connection."""
    import psycopg

    said = str(error).strip()
    status = Remedy("simmate-remote database status", "asks again, and shows who says which database is used")
    if _is_about_password(error):
        what = f"the database does not accept the user or the password: {configuration.shown}"
        return DatabasePasswordError(what, remedies=(status,), detail=said)
    if isinstance(error, psycopg.ProgrammingError):
        what = f"the database's URL cannot be understood, said by {configuration.source}: {configuration.shown}"
        return DatabaseConfigurationError(what, remedies=(status,), detail=said)
    what = f"the database does not answer: {configuration.shown}"
    return DatabaseUnreachableError(what, remedies=(status,), detail=said)
