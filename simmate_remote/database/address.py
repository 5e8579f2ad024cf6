"""The database's address for other programs, and its own prompt."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from simmate_remote.database.client_programs import client_programs
from simmate_remote.database.configuration import Configuration
from simmate_remote.database.connecting import way_of
from simmate_remote.database.embedded.place import DATABASE, USER, Place
from simmate_remote.database.embedded.server import Hold, ensure
from simmate_remote.errors import DatabaseError, Remedy


def url_of(configuration: Configuration, *, with_password: bool = False) -> str:
    """Give the URL for another program of this user; an embedded server is started, and stays while it is used.

    Args:
        configuration: Which database.
        with_password: Whether the password is in it; otherwise libpq finds it in the file that the URL names.
    """
    if configuration.kind == "sqlite":
        return f"sqlite:///{configuration.url}"
    if configuration.kind == "embedded":
        place = Place(configuration.folder)
        hold = Hold(place)
        try:
            said = {"user": USER, "dbname": DATABASE, "host": str(ensure(place, configuration.lease))}
        finally:
            hold.give_back()
        said |= {"password": place.password()} if with_password else {"passfile": str(place.passwords)}
    else:
        said = way_of(configuration)
        said.pop("connect_timeout", None)
        if not with_password:
            said.pop("password", None)
    user = quote(said.pop("user"), safe="") + (f":{quote(said.pop('password'), safe='')}" if "password" in said else "")
    name = quote(said.pop("dbname"), safe="")
    return f"postgresql://{user}@/{name}?{urlencode(said, safe='/', quote_via=quote)}"


def run_shell(configuration: Configuration, arguments: Sequence[str]) -> int:
    """Run the database's own prompt on this terminal, psql or sqlite3, and give its exit code.

    Args:
        configuration: Which database.
        arguments: Further arguments of that program.

    Raises:
        DatabaseError: There is no such program.
    """
    if configuration.kind == "sqlite":
        if (program := shutil.which("sqlite3")) is None:
            raise DatabaseError(
                "there is no program sqlite3 on this machine",
                remedies=(Remedy("python -m sqlite3 --help", "Python 3.12 and later have a prompt of their own"),),
            )
        return _run([program, configuration.url, *arguments], None)
    with client_programs(configuration) as client:
        return _run([str(client.folder / "psql"), f"--dbname={client.address}", *arguments], client.environment)


def _run(command: list[str], environment: dict[str, str] | None) -> int:
    # Ctrl-C is for the prompt: it ends a query there.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
