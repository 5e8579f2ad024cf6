"""Giving up a connection that may be on its way out already."""

from __future__ import annotations

import asyncio


def give_up(transport: asyncio.WriteTransport) -> None:
    """End a transport at once, whatever state it is in.

    asyncio's own ``abort()`` fails with an AttributeError for a socket that was closed while it still had bytes to
    write, and has written them since (CPython's ``selector_events``, up to 3.14 at least).
    """
    if not transport.is_closing() or transport.get_write_buffer_size():
        transport.abort()
