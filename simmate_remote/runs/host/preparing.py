"""What runs need at the cluster before they can be executed: once for all that need the same."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from simmate_remote.runs.host.live import Live
from simmate_remote.runs.host.store import RunStore

if TYPE_CHECKING:
    from distributed import Client


class Preparations:
    """Has each program prepare the cluster for its runs.

    Args:
        client: Of the cluster; asynchronous.
        store: Where the runs are.
        in_thread: Does something with files beside the event loop.
    """

    def __init__(
        self,
        client: Client,
        store: RunStore,
        in_thread: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._client = client
        self._store = store
        self._in_thread = in_thread
        self._done: dict[str, asyncio.Task[None]] = {}

    async def have(self, live: Live) -> None:
        """Have at the cluster what a run needs; what has failed is tried again for the next one.

        Raises:
            Exception: What the program raises, or its import.
        """
        needs = f"{live.program} {live.code}"
        if needs not in self._done:
            self._done[needs] = asyncio.create_task(self._prepare(live))
        preparing = self._done[needs]
        try:
            await asyncio.shield(preparing)
        except Exception:
            if self._done.get(needs) is preparing:
                del self._done[needs]
            raise

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._done.values():
            task.cancel()

    async def _prepare(self, live: Live) -> None:
        module = await self._in_thread(partial(importlib.import_module, live.program.partition(":")[0]))
        spec = await self._in_thread(live.folder.spec)
        await module.prepare(self._client, self._store, spec)
