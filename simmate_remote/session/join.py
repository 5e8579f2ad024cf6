"""Joining a session: the one that is there, or a new one, with nothing left behind where that fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

from simmate_remote.errors import SimmateRemoteError
from simmate_remote.inventory.models import Host
from simmate_remote.link import Ask
from simmate_remote.session.client import SessionClient, find_or_start

PATIENCE_FOR_LAST_MOMENTS = 5.0


async def join(
    host: Host,
    *,
    lasting: bool,
    here: bool = False,
    ask: Ask | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> SessionClient:
    """Have a session that is connected.

    Until it is connected, a session that this makes belongs to this process: when it is interrupted, killed, or its
    terminal is closed, everything ends there.

    Args:
        host: The host.
        lasting: Whether the session shall outlive this process; otherwise one that this makes ends with it.
        here: Whether a new session starts afresh where its login leads, although another machine behind the name has
            what an earlier one left.
        ask: Answers the questions that come up; without it, what needs a person fails.
        step: Told what is being done.

    Raises:
        SimmateRemoteError: It could not connect, and nothing that this made was left.
    """
    client = await find_or_start(host, here=here)
    async with undone_on_failure(client, step):
        if client.started:
            await client.own()
        elif agent := os.environ.get("SSH_AUTH_SOCK"):
            await client.use_agent(agent)
        await client.follow(ask, step)
        if lasting:
            await client.last()
    return client


@contextlib.asynccontextmanager
async def undone_on_failure(client: SessionClient, step: Callable[[str], None] = lambda _: None) -> AsyncIterator[None]:
    """End a session that this process made, and everything on its host, if the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        if client.started:
            with contextlib.suppress(SimmateRemoteError, TimeoutError):
                step("ending what was begun")
                await client.stop()
                # Whoever looks now shall not find it in its last moments.
                async with asyncio.timeout(PATIENCE_FOR_LAST_MOMENTS):
                    await client.wait_closed()
        client.close()
        raise
