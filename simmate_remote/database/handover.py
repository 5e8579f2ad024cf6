"""What a host is given so that its workers reach the database: an address, a password, perhaps a way to here."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.embedded.place import DATABASE, USER, Place
from simmate_remote.database.lent import ADDRESS_FILE, PASSWORD_FILE
from simmate_remote.database.url import TLS, find_password, parameters_of, password_line
from simmate_remote.errors import DatabaseConfigurationError, Remedy, SimmateRemoteError, error_to_dict


@dataclass(frozen=True)
class Handover:
    """What a host is given.

    Args:
        files: Names and contents of files that only their owner can read, in a folder there.
        lends: Whether connections to a socket in that folder lead here.
    """

    files: dict[str, str]
    lends: bool


def handover(configuration: Configuration, host: str) -> Handover:
    """Say what the workers of a host need; the database need not have been made, and is not started.

    Args:
        configuration: Which database.
        host: The host, as the inventory calls it.
    """
    lends = configuration.host != host
    if configuration.kind == "sqlite":
        return refusal(
            DatabaseConfigurationError(
                f"the database is SQLite, a file on {socket.gethostname()}, which no other machine can reach",
                meanwhile="work that stays on that machine goes on",
                remedies=(Remedy("simmate-remote database status", "there, says where that was chosen"),),
            )
        )
    if configuration.kind == "embedded":
        place = Place(configuration.folder)
        place.make()
        parameters, password = {"user": USER, "dbname": DATABASE}, place.password()
    else:
        parameters = parameters_of(configuration.url)
        password = find_password(parameters) or ""
        hidden = {"password", "passfile", "connect_timeout"}
        if lends:
            hidden |= {"host", "port", "hostaddr", *TLS}  # how it is reached from here is this side's affair
        parameters = {name: value for name, value in parameters.items() if name not in hidden}
    address = {"parameters": parameters, "shown": f"{configuration.shown}, by {socket.gethostname()}"}
    files = {ADDRESS_FILE: json.dumps(address)}
    if password:
        files[PASSWORD_FILE] = password_line(parameters["user"], password)
    return Handover(files, lends)


def refusal(error: SimmateRemoteError) -> Handover:
    """Let whoever asks for the database there be told why there is none."""
    said: dict[str, Any] = {"refused": error_to_dict(error)}
    return Handover({ADDRESS_FILE: json.dumps(said)}, lends=False)
