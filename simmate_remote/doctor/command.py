"""One command of a login, and all that it printed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from simmate_remote.link.base import Link

MOST = 256 * 1024
"""Bytes of stdout that are kept."""


@dataclass(frozen=True)
class Output:
    """What became of a command.

    Args:
        stdout: What it wrote there, the last 256 KiB.
        stderr: The end of what it wrote there.
        status: Its exit status; None: it was ended otherwise.
        first: Seconds until the first byte came; None: none came.
    """

    stdout: str
    stderr: str
    status: int | None
    first: float | None


async def run_command(link: Link, command: str) -> Output:
    """Run a command in the login shell, without input, and wait for its end.

    Raises:
        ForbiddenByServerError: The server runs none.
        LinkLostError: The link is gone.
    """
    began = time.monotonic()
    transport, listener = await link.open_command(command, _Listener)
    try:
        transport.write_eof()
        await listener.ended.wait()
        return Output(
            listener.said.decode(errors="replace"),
            bytes(transport.get_extra_info("stderr") or b"").decode(errors="replace"),
            transport.get_extra_info("exit_status"),
            None if listener.first is None else listener.first - began,
        )
    finally:
        transport.abort()


class _Listener(asyncio.Protocol):
    def __init__(self) -> None:
        self.said = bytearray()
        self.ended = asyncio.Event()
        self.first: float | None = None

    def data_received(self, data: bytes) -> None:
        if self.first is None:
            self.first = time.monotonic()
        self.said += data
        del self.said[:-MOST]

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
