"""Errands for a session: a module of ours for each stream, which is its stdin and stdout; where that ends, it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import BinaryIO

from simmate_remote.errors import StreamResetError
from simmate_remote.keeper.host.logs import Logs

logger = logging.getLogger(__name__)


class Errands:
    """The modules that run for streams.

    Args:
        logs: What they write to stderr is the log ``errands``.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._running: set[asyncio.Task[None]] = set()

    async def begin(self, module: str, far: asyncio.Protocol) -> None:
        """Start a module, and connect what it reads and writes.

        Args:
            module: A module below a ``host`` package of ours.
            far: The protocol of its stdin and stdout.

        Raises:
            StreamResetError: It is none, or cannot be started.
        """
        if not module.startswith("simmate_remote.") or ".host." not in module:
            raise StreamResetError(f"{module!r} is nothing that runs for a stream")
        ours, its = socket.socketpair()
        try:
            with its, self._logs.path("errands").open("ab") as log:
                process = await self._start(module, its, log)
        except OSError as error:
            ours.close()
            raise StreamResetError(f"{module} cannot be started on the host: {error.strerror or error}") from error
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: far, sock=ours)
        task = asyncio.create_task(self._reap(module, process))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _start(self, module: str, its: socket.socket, log: BinaryIO) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, stdin=its.fileno(), stdout=its.fileno(), stderr=log, process_group=0
        )

    async def _reap(self, module: str, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if code:
            logger.warning("%s (process %d) ended with %d", module, process.pid, code)
