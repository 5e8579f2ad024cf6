"""Move bytes between a browser and the host, with back pressure and an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from simmate_remote.link.giving_up import give_up

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LINGER_SECONDS = 5.0
"""How long a close may take, and the second half of a websocket after the first has ended."""

CHUNK = 64 * 1024


@contextlib.asynccontextmanager
async def closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end of a block: gracefully if the block succeeds, at once if it fails."""
    try:
        yield
        writer.close()
        with contextlib.suppress(OSError):  # the other end was quicker, or does not take the rest
            async with asyncio.timeout(LINGER_SECONDS):
                await writer.wait_closed()
    finally:
        give_up(writer.transport)


async def relay_body(source: asyncio.StreamReader, sink: asyncio.StreamWriter, silence: float) -> None:
    """Copy a response's body until it ends.

    Args:
        source: The host.
        sink: The browser.
        silence: Seconds that the host may be silent.

    Raises:
        OSError: One of the two has gone (``ConnectionError``), or the host was silent for too long (``TimeoutError``).
    """
    while True:
        async with asyncio.timeout(silence):
            data = await source.read(CHUNK)
        if not data:
            return
        sink.write(data)
        await sink.drain()


async def relay_websocket(browser: Stream, host: Stream) -> None:
    """Copy in both directions until one of them has ended and the other has had time to do so too."""
    pumps = [asyncio.create_task(_pump(browser[0], host[1])), asyncio.create_task(_pump(host[0], browser[1]))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(pumps, timeout=LINGER_SECONDS)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
    for pump in pumps:
        if not pump.cancelled():
            pump.result()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
