"""The database as a worker on a host finds it: a folder that the session keeps, wherever the database is.

The folder is looked at for each connection: a worker may have been started before the session lends anything, may
outlive that session, and go on with the next one. Only what is here is imported before a first connection is made.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simmate_remote.database import crowding
from simmate_remote.errors import (
    DatabasePackagesError,
    DatabasePasswordError,
    DatabaseUnreachableError,
    error_from_dict,
)

if TYPE_CHECKING:
    import psycopg

VARIABLE = "SIMMATE_REMOTE_DATABASE_LENT"
"""Names the folder, in the processes of a host."""

PATIENCE_VARIABLE = "SIMMATE_REMOTE_DATABASE_PATIENCE"
"""Seconds to wait for a session that lends the database: as long as everything stays on the host without one."""

ADDRESS_FILE = "address.json"
PASSWORD_FILE = "pgpass"  # noqa: S105 - a file's name

RESTART = 60.0
"""Seconds for a server to be started again, where the host reaches it by itself."""

LOOK_AGAIN = 60
"""Seconds after which a connection that waits for the link is tried again: another session may lend it by now."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


class Lent(NamedTuple):
    """Where the database is lent to the processes of a host.

    Args:
        folder: The folder that sessions keep.
        patience: Seconds to wait for a session that lends it.
    """

    folder: Path
    patience: float


def address(folder: Path) -> dict[str, str] | None:
    """Give libpq's parameters of the database; None: nobody lends one now.

    Raises:
        SimmateRemoteError: It is said why there is none.
    """
    try:
        said = json.loads((folder / ADDRESS_FILE).read_text())
    except FileNotFoundError:
        return None
    if "refused" in said:
        raise error_from_dict(said["refused"])
    parameters: dict[str, str] = said["parameters"]
    if "host" not in parameters:
        parameters["host"] = str(folder)
    if (folder / PASSWORD_FILE).exists():
        parameters["passfile"] = str(folder / PASSWORD_FILE)
    return parameters


def connect(lent: Lent) -> psycopg.Connection[Any]:
    """Connect to the database; while nobody lends it, wait.

    Args:
        lent: Where it is lent.

    Raises:
        DatabaseError: There is no connection, and why.
    """
    try:
        import psycopg
    except ImportError as error:
        raise DatabasePackagesError(
            f"the Python of this host has no psycopg, which the database needs: {error}"
        ) from error
    folder, patience = lent
    began, pause, said = time.time(), FIRST_PAUSE, "no session lends it"
    crowded: float | None = None
    while True:
        parameters = address(folder)
        if parameters is not None:
            try:
                return psycopg.connect(connect_timeout=LOOK_AGAIN, **parameters)  # type: ignore[arg-type]
            except psycopg.OperationalError as error:
                said = str(error).strip()
                crowded = (crowded or time.time()) if crowding.is_crowded(said) else None
                if crowded is not None and time.time() - crowded > crowding.PATIENCE_THERE:
                    crowding.give_up("the one that this host is lent", crowded, said)
                if not _may_come_back(said):
                    raise _reason(said, began) from error
                if crowded is None and parameters["host"] != str(folder):
                    patience = min(patience, RESTART)  # no session is in between, and a server that is gone is gone
        if crowded is None and time.time() - began > patience:
            raise _reason(said, began)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _may_come_back(said: str) -> bool:
    """Whether this is how it looks when a session ends, or a server is just being started or has no connection left.

    libpq has no code for why a connection failed. What it says itself is English in psycopg's build; a server that
    speaks another language is taken to mean what it says.
    """
    if crowding.is_crowded(said):
        return True
    return ("FATAL" not in said and "password" not in said) or "FATAL:  the database system is" in said


def _reason(said: str, began: float) -> DatabaseUnreachableError | DatabasePasswordError:
    if "password" in said or "authentication" in said:
        return DatabasePasswordError("the database does not accept the user or the password of this host", detail=said)
    return DatabaseUnreachableError("the database cannot be reached from this host", since=began, detail=said)


def of_this_process() -> Lent | None:
    """Give where the database is lent to this process, if it is one of a host."""
    if not (folder := os.environ.get(VARIABLE)):
        return None
    return Lent(Path(folder), float(os.environ.get(PATIENCE_VARIABLE) or 0.0))


def set_variables(folder: Path, patience: float) -> None:
    """Set what this process, and the programs that it starts, need to find the database: ours, and libpq's own."""
    os.environ[VARIABLE] = str(folder)
    os.environ[PATIENCE_VARIABLE] = str(patience)
    parameters = address(folder)
    if parameters is None:
        return
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "dbname": "PGDATABASE",
        "passfile": "PGPASSFILE",
        "sslmode": "PGSSLMODE",
    }
    for name, variable in names.items():
        if name in parameters:
            os.environ[variable] = parameters[name]
    if uses_simmate():
        os.environ["SIMMATE__DATABASE__ENGINE"] = "django.db.backends.postgresql"
        for name in ("host", "port", "user"):
            if name in parameters:
                os.environ[f"SIMMATE__DATABASE__{name.upper()}"] = parameters[name]
        os.environ["SIMMATE__DATABASE__NAME"] = parameters["dbname"]


def uses_simmate() -> bool:
    """Whether Simmate is installed, and no settings of its own say which database it uses.

    Simmate takes its settings from one place: a variable would make it pass over all of a settings file.
    """
    import importlib.util

    if importlib.util.find_spec("simmate") is None or any(
        each.startswith("SIMMATE__DATABASE__") for each in os.environ
    ):
        return False
    folder = Path(os.environ.get("SIMMATE_CONFIG_DIR") or Path.home() / "simmate")
    return not any(folder.glob("*settings.yaml"))
