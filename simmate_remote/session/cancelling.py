"""Cancelling runs wherever they are: it is noted here first, and the host is told as soon as it can be reached."""

from __future__ import annotations

import asyncio

from simmate_remote.errors import NoSessionError, SimmateRemoteError
from simmate_remote.inventory import Host
from simmate_remote.session.client import find
from simmate_remote.session.state import State

PATIENCE = 15.0


async def deliver_to(host: Host) -> dict[str, str] | None:
    """Let a host be told now which runs are to be cancelled, and give how they stand; None: it cannot be told now."""
    try:
        session = await find(host)
    except NoSessionError:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            if (await session.status())["state"] == State.CONNECTED:
                return await session.deliver()
            session.deliver_later()
    except (SimmateRemoteError, TimeoutError):
        pass
    finally:
        session.close()
    return None
