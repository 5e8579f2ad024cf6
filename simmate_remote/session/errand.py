"""Errands from this side: a connection to a module of ours on a host, through its session or by a login of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from simmate_remote.errors import NoSessionError
from simmate_remote.inventory.models import Host
from simmate_remote.link import Ask, connect
from simmate_remote.link.base import ProtocolT
from simmate_remote.session.client import find
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.paths import errand_path


@contextlib.asynccontextmanager
async def errand(
    host: Host,
    module: str,
    protocol_factory: Callable[[], ProtocolT],
    *,
    ask: Ask | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[asyncio.Transport, ProtocolT]]:
    """Run a module of ours on a host for the time of a block.

    Where a session is connected to the host, the connection goes through it, and outlives the link: it stands still
    while the network is down, and goes on afterwards. Otherwise one login is made for it, and nothing is left behind.

    Args:
        host: The host.
        module: A module below a ``host`` package of ours, run as ``python -m`` or by its ``main()``; it speaks
            over its stdin and stdout.
        protocol_factory: Makes the protocol that speaks with it here.
        ask: Answers the questions of a login; without it, what needs a person fails.
        step: Told what is being done.

    Raises:
        SimmateRemoteError: The host, or a Python there, could not be reached.
    """
    try:
        session = await find(host)
    except NoSessionError:
        async with _by_login(host, module, protocol_factory, ask, step) as connection:
            yield connection
        return
    path = errand_path(host, module)
    try:
        await session.follow(ask, step)
        await session.open_errand(module, path)
    finally:
        session.close()
    transport, protocol = await asyncio.get_running_loop().create_unix_connection(protocol_factory, str(path))
    try:
        yield transport, protocol
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def _by_login(
    host: Host,
    module: str,
    protocol_factory: Callable[[], ProtocolT],
    ask: Ask | None,
    step: Callable[[str], None],
) -> AsyncIterator[tuple[asyncio.Transport, ProtocolT]]:
    # Here and not above: a session needs none of it, and a command waits for its imports.
    from simmate_remote.keeper.errand import run_errand
    from simmate_remote.keeper.host.lease import VISITOR
    from simmate_remote.keeper.package import own_package

    order = SessionOrder.of(host, VISITOR)
    step(f"logging in at {host.ssh}")
    reading = asyncio.create_task(asyncio.to_thread(own_package))  # while the server thinks
    try:
        link = await connect(order.destination(), ask)
    finally:
        await asyncio.wait({reading})
    try:
        transport, protocol, _ = await run_errand(
            link, module, protocol_factory, folder=order.folder, python=order.python
        )
        yield transport, protocol
        transport.close()
    finally:
        await link.close()
