"""The journal's writer in the desk: events in their order, many at once, and read only once the disk has them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any

from simmate_remote.runs.host.journal import JournalWriter

logger = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds after which a full disk is tried again; the folders have everything meanwhile."""


class Scribe:
    """Writes a journal without keeping the event loop from its work.

    Args:
        writer: The journal.
        pool: Whose thread waits for the disk.
    """

    def __init__(self, writer: JournalWriter, pool: Executor) -> None:
        self._writer = writer
        self._pool = pool
        self._pending: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._written = asyncio.Event()
        self._writing = asyncio.create_task(self._write())

    @property
    def end(self) -> int:
        """Up to where the disk has it."""
        return self._writer.end

    def tell(self, run: str, event: str, **about: Any) -> None:
        """Have an event written soon."""
        self._pending.append({"time": time.time(), "run": run, "event": event, **about})
        self._news.set()

    async def lines(self, offset: int, *, follow: bool) -> AsyncIterator[dict[str, Any]]:
        """Yield what follows an offset, in parts: ``from``, ``offset`` (after it) and ``lines``.

        Args:
            offset: 0, or where an earlier part has ended.
            follow: Whether to go on with what comes.
        """
        loop = asyncio.get_running_loop()
        while True:
            written = self._written
            while offset < self._writer.end:
                part = await loop.run_in_executor(self._pool, self._writer.read, offset)
                if part.offset == offset:
                    break
                yield {"from": offset, "offset": part.offset, "lines": part.lines}
                offset = part.offset
            if not follow:
                return
            await written.wait()

    async def close(self) -> None:
        """Write what is left, and let go of the file."""
        self._writing.cancel()
        await asyncio.wait({self._writing})
        try:
            self._writer.append(self._pending)
        except OSError as error:
            logger.warning("the journal of runs lacks its last lines: %s", error)
        self._writer.close()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            self._news.clear()
            count = len(self._pending)
            writing = loop.run_in_executor(self._pool, self._writer.append, self._pending[:count])
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait({writing})
                if writing.exception() is None:
                    del self._pending[:count]
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, later events must not be lost with it
                logger.warning("the journal of runs waits for its disk: %s: %s", type(error).__name__, error)
                self._news.set()
                await asyncio.sleep(PATIENCE)
                continue
            del self._pending[:count]
            self._written.set()
            self._written = asyncio.Event()
