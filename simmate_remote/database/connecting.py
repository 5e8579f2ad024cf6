"""One connection to Postgres, wherever it is; the reasons why there is none are translated here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simmate_remote.database.configuration import Configuration
from simmate_remote.errors import DatabaseUnreachableError

if TYPE_CHECKING:
    import psycopg


def connect(configuration: Configuration, **options: Any) -> psycopg.Connection[Any]:
    """Connect to the database.

    Args:
        configuration: Which database.
        options: Further options of ``psycopg.connect``.

    Raises:
        DatabaseError: There is no connection, and why.
    """
    import psycopg

    if configuration.kind != "postgresql":
        raise DatabaseUnreachableError("the embedded database is not there yet")
    return psycopg.connect(configuration.url, **options)
