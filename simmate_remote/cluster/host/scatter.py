"""Data that is sent to workers, and workers that end while they take it.

Dask's scheduler sends data to workers, waits for their answers, and notes who has what. A worker that ends in between
costs the caller the whole call: with ``CommClosedError`` if it had not answered, with a bare ``KeyError`` of its
address if it had, and then the scheduler goes on with a key that it takes for present and nobody has. But the scheduler
still has the data at that moment, and mostly other workers.

This module runs on the host, in the process of the scheduler.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable
from typing import Any

from distributed.comm import CommClosedError

from simmate_remote.cluster.host.dashboard import OwnerOnlyScheduler
from simmate_remote.errors import Remedy, WorkersError

ATTEMPTS = 3
"""Workers that may end over the same data. As with a task (``allowed-failures``), the data may be what ends them."""

PAUSE = 0.1
"""Seconds in which the scheduler notices that a worker ended, so that the data does not go to the same one again."""


class ScatteringScheduler(OwnerOnlyScheduler):
    """A scheduler that sends data to another worker when one ends that was about to have it.

    Args:
        called: What its user calls this host.
    """

    def __init__(self, *args: Any, called: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._called = called

    async def scatter(
        self,
        data: dict[Any, Any],
        workers: Iterable[Any] | None,
        client: str,
        broadcast: bool | int = False,
        timeout: float = 2,
    ) -> list[Any]:
        """Send data to workers, see :meth:`distributed.Scheduler.scatter`.

        Raises:
            WorkersError: Workers ended over it, one after another, or one is not there that was asked for.
            TimeoutError: There are no workers.
        """
        targets = None if workers is None else list(workers)
        lost: list[OSError] = []
        try:
            while len(lost) < ATTEMPTS:
                try:
                    keys: list[Any] = await super().scatter(data, targets, client, broadcast, timeout)
                except TimeoutError:  # an OSError, too; nobody took the data
                    raise
                except OSError as error:
                    lost.append(error)
                    await asyncio.sleep(PAUSE)
                else:
                    return keys
        except KeyError as error:
            if targets is None:
                raise
            raise WorkersError(
                f"the data shall go to {error}, and there is no such worker, or no longer: "
                "Client.scheduler_info() tells which there are",
                host=self._called,
                remedies=(Remedy(f"simmate-remote logs {shlex.quote(self._called)}", "why one ended"),),
            ) from None
        finally:
            if lost:
                self._forget_strays(data)
        raise WorkersError(
            f"{ATTEMPTS} workers ended, one after another, while they took data that was sent to them: "
            "more data than their memory holds would do that",
            host=self._called,
            meanwhile="they are started again, and all other work goes on",
            remedies=(
                Remedy(f"simmate-remote logs {shlex.quote(self._called)}", "why they ended"),
                Remedy(
                    f"simmate-remote hosts show {shlex.quote(self._called)}",
                    "`workers: {memory: …}` gives each one more; or send less at once",
                ),
            ),
            detail=f"the last one: {lost[-1]}",
        )

    def update_data(self, *, who_has: dict[Any, list[str]], **further: Any) -> None:
        """Learn who has new data, see :meth:`distributed.Scheduler.update_data`.

        Raises:
            CommClosedError: A worker ended meanwhile. Nothing has been noted.
        """
        for workers in who_has.values():
            for worker in workers:
                if self.coerce_address(worker) not in self.workers:
                    raise CommClosedError(f"the worker {worker} ended just after it took the data")
        super().update_data(who_has=who_has, **further)

    def _forget_strays(self, data: dict[Any, Any]) -> None:
        """Let workers drop what they took in an attempt that failed as a whole."""
        for address, worker in self.workers.items():
            strays = [key for key in data if (task := self.tasks.get(key)) is None or task not in worker.has_what]
            if strays:
                self.worker_send(address, {"op": "remove-replicas", "keys": strays, "stimulus_id": "scatter-again"})
