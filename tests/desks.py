"""A desk with a scheduler and a worker of its own in a test's process, and what a test asks it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import dask
from distributed import Scheduler, Worker

from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore
from simmate_remote.runs.identity import new_id
from simmate_remote.streams.calls import Caller

PRELOAD = {"distributed.scheduler.preload": ["simmate_remote.runs.host.preload"]}
LOCAL = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}


class Desk(Caller):
    """A connection to a desk, and what a test wants to know of its runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.store = RunStore(folder)

    async def begin(self, do: str, attempts: int = 5, **arguments: Any) -> RunFolder:
        spec = spec_of(do, attempts, **arguments)
        folder = (await self.call("create", runs=[spec.as_dict()], blobs=[]))["folders"][spec.id]
        return RunFolder(Path(folder))

    async def ending(self, folder: RunFolder) -> dict[str, Any]:
        outcome: dict[str, Any] = await asyncio.wait_for(self.call("outcome", id=folder.id), 40)
        return outcome

    async def runs(self, folder: RunFolder) -> bool:
        """Say whether the desk knows that a run is at work."""
        return bool((await self.call("status", ids=[folder.id]))[folder.id]["state"] == "running")

    async def told(self, folder: RunFolder) -> list[str]:
        """Give the events that the journal has of a run."""
        return [line["event"] for line in await self.lines() if line["run"] == folder.id]

    async def lines(self) -> list[dict[str, Any]]:
        await until(self._is_written)
        parts = [part async for part in self.items("journal", offset=0)]
        return [line for part in parts for line in part["lines"]]

    async def _is_written(self) -> bool:
        before = (await self.call("describe"))["end"]
        await asyncio.sleep(0.05)
        return bool((await self.call("describe"))["end"] == before)


def spec_of(do: str, attempts: int = 5, **arguments: Any) -> Spec:
    return Spec(
        new_id(),
        do,
        program="tests.desk_program:execute",
        payload={"do": do, "with": arguments},
        attempts=attempts,
        created=1.0,
    )


async def until(condition: Callable[[], Any], limit: float = 20.0) -> None:
    async with asyncio.timeout(limit):
        while not (await found if isinstance(found := condition(), Awaitable) else found):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def open_desk(
    place: Path, worker: Callable[..., Any] | None = Worker, **options: Any
) -> AsyncIterator[tuple[Desk, Scheduler]]:
    told = {"folder": str(place / "runs"), "socket": str(place / "desk")}
    quick = {"distributed.scheduler.allowed-failures": 1, "distributed.comm.timeouts.connect": "10s"}
    with dask.config.set({**PRELOAD, **quick, "simmate-remote.desk": told}):
        async with Scheduler(port=0, **LOCAL) as scheduler, contextlib.AsyncExitStack() as stack:
            if worker is not None:
                await stack.enter_async_context(worker(scheduler.address, nthreads=2, **options, **LOCAL))
            desk = Desk(place / "runs")
            await asyncio.get_running_loop().create_unix_connection(lambda: desk, told["socket"])
            try:
                yield desk, scheduler
            finally:
                desk.close()
