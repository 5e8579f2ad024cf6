"""Scheduler and workers as distributed's SpecCluster knows them: objects here that stand for processes on the host.

They keep the form of ``distributed.deploy.ssh``, and nothing of how it starts and ends processes: the keeper does that,
over the one login that there is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from distributed.core import Status
from distributed.deploy.spec import ProcessInterface
from distributed.deploy.ssh import Scheduler as SSHScheduler
from distributed.deploy.ssh import Worker as SSHWorker

from simmate_remote.errors import KeeperError, WorkersError

START_TRIES = 3


class Host(Protocol):
    """What a process needs of the session: how to start and end it on the host."""

    async def start_child(self, name: str, role: str, configuration: dict[str, Any]) -> dict[str, Any]:
        """Start a scheduler or a nanny, unless it lives, and give what it says of itself."""

    async def stop_child(self, name: str) -> None:
        """End it."""


class HostScheduler(SSHScheduler):  # type: ignore[misc]
    """The scheduler on the host.

    Args:
        host: Starts and ends processes there.
        configuration: What :func:`simmate_remote.cluster.host.roles.start_scheduler` expects.
        external_address: What this side dials; a port of the session that leads there.
    """

    def __init__(self, host: Host, configuration: dict[str, Any], external_address: str) -> None:
        super().__init__(address="", connect_options={}, kwargs=configuration)
        self._host = host
        self.external_address = external_address
        self.contact_address: str | None = None

    async def start(self) -> None:
        """Start the process, or find it."""
        about = await self._host.start_child("scheduler", "scheduler", self.kwargs)
        self.address = self.contact_address = about["address"]
        # Not the parent's start: it calls a finalizer that signals a process of its own connection.
        await ProcessInterface.start(self)

    async def close(self) -> None:
        """End the process."""
        if self.status != Status.closed:
            with contextlib.suppress(KeeperError):
                await self._host.stop_child("scheduler")
        await ProcessInterface.close(self)


class HostWorker(SSHWorker):  # type: ignore[misc]
    """A nanny on the host, and its worker.

    Args:
        scheduler: The scheduler's address, as the host knows it.
        name: The worker's name, the same for the cluster's specification and for the scheduler.
        host: Starts and ends processes there.
        configure: Gives, for ``name``, what its process is told; where the scheduler is, it learns there.
    """

    def __init__(self, scheduler: str, *, name: str, host: Host, configure: Callable[..., dict[str, Any]]) -> None:
        super().__init__(scheduler, address="", connect_options={}, kwargs={}, name=name)
        self._host = host
        self._configuration = configure(name=name)

    async def start(self) -> None:
        """Start the process, or find it."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                about = await self._host.start_child(self.name, "worker", self._configuration)
            except WorkersError:
                # A task that kills its worker may have got this one before its nanny had called it started.
                if not tries_left:
                    raise
            else:
                self.address = about["address"]
                break
        await ProcessInterface.start(self)

    async def close(self) -> None:
        """End the process."""
        if self.status != Status.closed:
            with contextlib.suppress(KeeperError):
                await self._host.stop_child(self.name)
        await ProcessInterface.close(self)
