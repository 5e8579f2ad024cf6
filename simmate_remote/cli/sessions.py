"""Which session a command is about."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from simmate_remote.cli.output import note
from simmate_remote.errors import (
    InventoryError,
    NoSessionError,
    Remedy,
    SessionError,
    SimmateRemoteError,
    error_to_dict,
)
from simmate_remote.inventory import load_host
from simmate_remote.session.client import SessionClient, find, find_all

HostName = Annotated[str, typer.Argument(metavar="HOST", help="A host that `simmate-remote hosts list` shows.")]
"""The type of every command's ``host`` parameter."""

PATIENCE = 15.0
"""Seconds for an answer of a session: its cluster may be starting, or its host be slow."""


async def session_of(name: str) -> SessionClient:
    """Find the session of a host.

    What is connected stays reachable by its name after its description was edited or left behind in another folder.

    Args:
        name: The host's.

    Raises:
        NoSessionError: Nothing is connected to a host of this name.
        InventoryError: The same, and the inventory does not know the host either.
    """
    try:
        return await find(load_host(name))
    except (NoSessionError, InventoryError):
        found = [(client, report) for client, report in await all_sessions() if report["host"] == name]
        for client, _ in found[1:]:
            client.close()
        if len(found) != 1:
            if found:
                found[0][0].close()
            raise
    client, report = found[0]
    note(f"{name}: this session was made from another description of the host (ssh {report['ssh']})")
    return client


async def all_sessions() -> list[tuple[SessionClient, dict[str, Any]]]:
    """Give every session of this user, and what it says of itself."""
    clients = await find_all()
    reports = await asyncio.gather(*(report_of(client) for client in clients))
    return list(zip(clients, reports, strict=True))


async def report_of(client: SessionClient) -> dict[str, Any]:
    """Ask a session for its report; one that does not answer, or ends meanwhile, is reported as that."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await client.status()
    except TimeoutError:
        error: SimmateRemoteError = SessionError(
            f"the session has not answered for {PATIENCE:.0f} s",
            host=client.host,
            remedies=(Remedy(f"simmate-remote disconnect {client.host}", "ends the session"),),
        )
        state = "silent"
    except SimmateRemoteError as reason:
        error, state = reason, "stopped"
    return {"host": client.host, "state": state, "since": error.since, "error": error_to_dict(error), "ssh": None}
