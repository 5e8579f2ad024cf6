"""The keeper's processes: each has a name, a log, and a connection for calls on its stdin and stdout."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from simmate_remote.errors import KeeperError
from simmate_remote.streams.calls import Caller

GRACE = 5.0


class Process(asyncio.SubprocessProtocol):
    """A process of the session, in a process group of its own.

    Args:
        name: What it is called in messages, and its log.
        ended: Called once when it has ended.
    """

    def __init__(self, name: str, ended: Callable[[Process], None]) -> None:
        self.name = name
        self.pid = 0
        self.since = time.time()
        self.exited = asyncio.Event()
        self.code: int | None = None
        self.calls = Caller(lost=lambda: KeeperError(f"the process {name} ended before it had answered"))
        self._ended = ended
        self._transport: asyncio.SubprocessTransport | None = None

    async def start(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Start the program; what it writes to stderr goes to its log, however much it is."""
        with log.open("ab") as output:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: self, *command, env=environment, stderr=output, start_new_session=True
            )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()
        self.calls.attach(cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0)))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.calls.data_received(data)

    def process_exited(self) -> None:
        assert self._transport is not None
        self.code = self._transport.get_returncode()
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
