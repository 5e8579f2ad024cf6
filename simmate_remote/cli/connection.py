"""A host for the time of one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from simmate_remote.cli.output import note
from simmate_remote.cli.steps import Steps
from simmate_remote.inventory import Host
from simmate_remote.session.desk import Desk


@contextlib.contextmanager
def connected(host: Host, *, stay: bool = False) -> Iterator[Desk]:
    """Give the desk of a host; a connection that had to be made for it ends with the block, unless a run goes on.

    Args:
        host: The host.
        stay: Whether the connection stays in any case.

    Raises:
        SimmateRemoteError: It could not connect.
    """
    desk = Desk(host)
    with contextlib.closing(desk):
        with Steps() as steps:
            desk.open(ask=steps.ask, step=steps, notice=note)
        if desk.made_session and not stay:
            note(f"{host.name} was not connected: what this command starts there ends with it")
        yield desk
        if stay:
            desk.close(stay=True)
        elif desk.made_session:
            note(f"ending everything on {host.name} …")
