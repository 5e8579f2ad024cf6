"""The keeper's processes: each has a name, a log, and a connection for calls on its stdin and stdout."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from simmate_remote.errors import KeeperError
from simmate_remote.keeper.host.spawning import Spawned
from simmate_remote.streams.calls import Caller

GRACE = 5.0


class Process(asyncio.Protocol):
    """A process of the session, in a process group of its own; the protocol of its stdout.

    Args:
        spawned: The process, which was started already.
        ended: Called once when it has ended.
    """

    def __init__(self, spawned: Spawned, ended: Callable[[Process], None]) -> None:
        self.name = spawned.name
        self.pid = spawned.pid
        self.since = time.time()
        self.exited = asyncio.Event()
        self.code: int | None = None
        self.calls = Caller(lost=lambda: KeeperError(f"the process {self.name} ended before it had answered"))
        self._spawned = spawned
        self._ended = ended
        self._reaping: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect to its stdin and stdout."""
        loop = asyncio.get_running_loop()
        stdin = os.fdopen(self._spawned.stdin, "wb", buffering=0)
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, stdin)
        self.calls.attach(transport)
        await loop.connect_read_pipe(lambda: self, os.fdopen(self._spawned.stdout, "rb", buffering=0))

    def data_received(self, data: bytes) -> None:
        self.calls.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        # Its stdout ends when it does, or a moment before.
        self._reaping = asyncio.get_running_loop().create_task(self._reap())

    async def _reap(self) -> None:
        _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        self.calls.close()
        self.calls.connection_lost(None)
        self.exited.set()
        self._ended(self)

    async def stop(self) -> None:
        """End the process: by the end of its stdin, then by SIGTERM to its group, then by SIGKILL."""
        self.calls.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.exited.wait(), GRACE)
                return
        raise KeeperError(f"the process {self.name} (pid {self.pid}) does not end, not even by SIGKILL")

    def describe(self) -> dict[str, Any]:
        """Say what ``status`` shows."""
        return {"name": self.name, "pid": self.pid, "since": self.since, "code": self.code}
