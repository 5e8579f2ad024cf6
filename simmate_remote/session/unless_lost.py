"""Work that needs a link and a keeper: it ends with them, and with whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from simmate_remote.errors import KeeperError, SimmateRemoteError
from simmate_remote.link import Link


async def do_unless_lost(
    work: Coroutine[Any, Any, None], link: Link, keeper_lost: Coroutine[Any, Any, None], *, patience: float
) -> None:
    """Do something that would wait for ever if the link, or the keeper, were lost.

    Args:
        work: What is done.
        link: What it needs.
        keeper_lost: Ends when the connection to the keeper does.
        patience: Seconds for the link to show that it is what was lost, once the keeper is.

    Raises:
        LinkLostError: The link was lost.
        KeeperError: The keeper was.
    """
    doing = asyncio.ensure_future(work)
    lost = asyncio.create_task(link.wait_lost())
    gone = asyncio.create_task(keeper_lost)
    try:
        await asyncio.wait({doing, lost, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            await asyncio.wait({doing, lost}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
        elif lost.done():
            raise lost.result()
        else:
            raise KeeperError("the keeper on the host died while it was being reached", host=link.destination.host)
    finally:
        # Also where nobody waits for it any more: what has not begun on the host by then shall not begin.
        for task in (doing, lost, gone):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SimmateRemoteError):
            await doing
