"""An errand: a module of ours that runs on the host for the time of one connection, over a login, without a keeper."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from simmate_remote.keeper.arrival import Found, Wish, arrive, call
from simmate_remote.link.base import Link, ProtocolT


async def run_errand(
    link: Link, module: str, protocol_factory: Callable[[], ProtocolT], *, folder: str, python: str | None
) -> tuple[asyncio.Transport, ProtocolT, Found]:
    """Run a module on the host; its package travels along if it is not there, and is not left there.

    Args:
        link: The login.
        module: A module below a ``host`` package of ours, with a ``main()`` that speaks over its stdin and stdout.
        protocol_factory: Makes the protocol that speaks with it here.
        folder: Our folder on the host; ``~`` is the home there.
        python: An interpreter, or an environment's folder, on the host; None: look for one that fits.

    Raises:
        RemotePythonError: No Python there, or one that is too old.
        ForbiddenByServerError: The server runs no command for us.
        KeeperError: Our part there failed; with its own words.
        LinkLostError: The link was lost meanwhile.
    """
    called = await call(link, Wish(folder, python, {"errand": module}))
    found = await arrive(called)
    try:
        await called.dialogue.hear("errand")
        protocol = protocol_factory()
        called.dialogue.hand_over(protocol)
    except BaseException:
        called.transport.abort()
        raise
    return called.transport, protocol, found
