"""The keeper itself: far ends of streams, the session's processes, and the lease on which all of it stands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from simmate_remote.errors import KeeperError, StreamResetError
from simmate_remote.keeper.attach import record_path
from simmate_remote.keeper.lease import Lease
from simmate_remote.keeper.logs import Logs
from simmate_remote.keeper.processes import Process
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.carrier import FarCarrier
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.splice import splice
from simmate_remote.version import __version__

logger = logging.getLogger(__name__)
MAX_DESCRIPTORS = 16
HANDOVER_TIMEOUT = 10.0


class Keeper:
    """Everything that one user has on this machine through us.

    Args:
        folder: Our folder in the user's home.
        runtime: A private folder for sockets.
        lease: Seconds that everything stays without a client.
    """

    def __init__(self, folder: Path, runtime: Path, lease: float) -> None:
        self.folder = folder
        self.runtime = runtime
        self.since = time.time()
        self.stopping = asyncio.Event()
        self.lease = Lease(lease, self._lease_ran_out)
        self.logs = Logs(folder)
        self.processes: dict[str, Process] = {}
        self.targets: dict[str, dict[str, Any]] = {}
        self.notes: dict[str, Any] = {}
        self._conversations: dict[str, Conversation] = {}
        self._callers: set[Caller] = set()
        self._stopped_by: str | None = None

    # Carriers and streams

    def carrier(self) -> FarCarrier:
        """Make the protocol of a new carrier."""
        about = {"keeper": __version__, "hostname": socket.gethostname()}
        return FarCarrier(self._conversations.get, self._begin_conversation, lambda: about)

    def _begin_conversation(self, token: str, owner: str) -> Conversation:
        conversation = Conversation(first=False, accept=self._accept, token=token, owner=owner)
        conversation.carriers_changed = self._carriers_changed
        self._conversations[token] = conversation
        return conversation

    def _carriers_changed(self) -> None:
        self.lease.hold(any(conversation.carriers for conversation in self._conversations.values()))

    def _lease_ran_out(self) -> None:
        logger.info("the lease of %.0f s has run out", self.lease.length)
        self.stopping.set()

    async def _accept(self, target: str) -> asyncio.Protocol:
        if target == "control":
            return ControlCaller(self, self._callers)
        place = self.targets.get(target)
        if place is None:
            raise StreamResetError(f"the keeper knows no target {target!r}")
        near, far = splice()
        loop = asyncio.get_running_loop()
        try:
            if "path" in place:
                await loop.create_unix_connection(lambda: far, place["path"])
            else:
                await loop.create_connection(lambda: far, "127.0.0.1", place["port"])
        except OSError as error:
            raise StreamResetError(f"the {target} does not answer on the host: {error.strerror or error}") from error
        return near

    # Calls of the near end

    def describe(self) -> dict[str, Any]:
        """Say what is here."""
        return {
            "version": __version__,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "since": self.since,
            "folder": str(self.folder),
            "runtime": str(self.runtime),
            "lease": self.lease.length,
            "logs": str(self.logs.folder),
            "processes": [process.describe() for process in self.processes.values()],
            "targets": self.targets,
            "notes": self.notes,
            "cores": len(os.sched_getaffinity(0)),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        }

    def renew_lease(self, length: float) -> None:
        """Set how many seconds everything stays without a client."""
        self.lease.renew(length)

    def note(self, name: str, value: Any) -> None:
        """Remember something for a later session."""
        self.notes[name] = value

    def offer(self, target: str, place: dict[str, Any]) -> None:
        """Let streams be opened to a Unix socket (``path``) or to a port of the loopback interface (``port``)."""
        self.targets[target] = place

    def forget_lost_conversations(self) -> int:
        """End the conversations that have no carrier: their near end is gone for good. Give their number."""
        lost = [token for token, conversation in self._conversations.items() if not conversation.carriers]
        for token in lost:
            self._conversations.pop(token).close("another session took over")
        return len(lost)

    async def start_process(self, name: str, module: str, environment: dict[str, str]) -> dict[str, Any]:
        """Start a module of ours as a process, unless it runs already, with an addition to the environment."""
        process = self.processes.get(name)
        if process is None:
            process = Process(name, self._process_ended)
            process.calls.handlers["event"] = lambda **about: self._tell("process_event", process=name, **about)
            self.processes[name] = process
            command = [sys.executable, "-m", module]
            try:
                await process.start(command, {**os.environ, **environment}, self.logs.path(name))
            except (OSError, ValueError) as error:
                del self.processes[name]
                raise KeeperError(f"the process {name} cannot be started: {error}") from error
        return process.describe()

    async def call_process(self, name: str, call: str, arguments: dict[str, Any]) -> Any:
        """Call a process and give its answer."""
        return await self._process(name).calls.call(call, **arguments)

    def read_logs(self, names: list[str] | None, last: int, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of logs."""
        return self.logs.read(names, last=last, follow=follow)

    def tail(self, name: str) -> str:
        """Give the end of a log."""
        return self.logs.tail(name)

    async def stop(self, reason: str) -> None:
        """End everything; the answer comes when all processes have ended, and the keeper ends after it."""
        self._stopped_by = reason
        await self.end_processes()
        asyncio.get_running_loop().call_later(0.05, self.stopping.set)

    # Inside

    def _process(self, name: str) -> Process:
        try:
            return self.processes[name]
        except KeyError:
            raise KeeperError(f"no process here is called {name!r}") from None

    def _process_ended(self, process: Process) -> None:
        self.processes.pop(process.name, None)
        logger.info("the process %s (pid %d) ended with %s", process.name, process.pid, process.code)
        self._tell("process_ended", process=process.name, code=process.code, tail=self.logs.tail(process.name))

    def _tell(self, name: str, /, **about: Any) -> None:
        for caller in self._callers:
            caller.tell(name, **about)

    async def end_processes(self) -> None:
        """End every process."""
        outcomes = await asyncio.gather(
            *(each.stop() for each in list(self.processes.values())), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                logger.error("%s", outcome)


class ControlCaller(Caller):
    """The calls of one near end.

    Args:
        keeper: Who answers.
        callers: The set that this one belongs to while its stream is open.
    """

    def __init__(self, keeper: Keeper, callers: set[Caller]) -> None:
        names = (
            "describe", "renew_lease", "note", "offer", "forget_lost_conversations",
            "call_process", "read_logs", "tail", "stop",
        )  # fmt: skip
        super().__init__({name: getattr(keeper, name) for name in names})
        self._callers = callers
        callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._callers.discard(self)
        super().connection_lost(exc)


async def serve(folder: Path, runtime: Path, order: dict[str, Any], ready: int, guardian: int) -> None:
    """Run a keeper until its lease runs out, it is told to stop, or its guardian is gone."""
    keeper = Keeper(folder, runtime, float(order["lease"]))
    await keeper.start_process(**order["process"])
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, keeper.stopping.set)
    loop.add_reader(guardian, keeper.stopping.set)
    carriers = await loop.create_unix_server(keeper.carrier, str(runtime / "carrier"))
    handover = socket.socket(socket.AF_UNIX)
    handover.bind(str(runtime / "handover"))
    handover.listen()
    handover.setblocking(False)
    taking = loop.create_task(_take_over(keeper, handover))
    record = record_path(folder)
    record.write_text(
        json.dumps(
            {
                "handover": str(runtime / "handover"),
                "carrier": str(runtime / "carrier"),
                "pid": os.getpid(),
                "since": keeper.since,
                "version": __version__,
            }
        )
    )
    os.write(ready, b"ready")
    os.close(ready)
    try:
        await keeper.stopping.wait()
    finally:
        record.unlink(missing_ok=True)
        taking.cancel()
        carriers.close()
        handover.close()
        await keeper.end_processes()


async def _take_over(keeper: Keeper, handover: socket.socket) -> None:
    """Take the stdin and stdout of commands of this login as carriers."""
    loop = asyncio.get_running_loop()
    while True:
        connection, _ = await loop.sock_accept(handover)
        connection.setblocking(False)
        loop.create_task(_take_one(keeper, connection)).add_done_callback(_log_failure)


async def _take_one(keeper: Keeper, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await asyncio.wait_for(readable.wait(), HANDOVER_TIMEOUT)
    except TimeoutError:
        connection.close()
        raise
    finally:
        loop.remove_reader(connection)
    message, descriptors, _, _ = socket.recv_fds(connection, 64, MAX_DESCRIPTORS)
    if message != b"carrier" or len(descriptors) != 2:
        for descriptor in descriptors:
            os.close(descriptor)
        connection.close()
        return
    reader, writer = descriptors
    protocol = keeper.carrier()
    pipes = PipePair(protocol, connection)
    # Whatever they are, pipes or sockets, these ends are two; to the protocol they are one connection.
    output, source = os.fdopen(writer, "wb", buffering=0), os.fdopen(reader, "rb", buffering=0)
    try:
        pipes.writer, _ = await loop.connect_write_pipe(lambda: WriteSide(pipes), output)
        protocol.connection_made(pipes)
        pipes.reader, _ = await loop.connect_read_pipe(lambda: ReadSide(pipes), source)
    except (OSError, ValueError):
        # Not pipes, for example: the command that lent them must not wait for ever.
        pipes.abort()
        output.close()
        source.close()
        raise
    if pipes.is_closing():
        pipes.reader.close()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("a carrier could not be taken over: %s", error)


class PipePair(asyncio.Transport):
    """A transport over two pipes: what the other end calls its stdin and stdout.

    Args:
        protocol: Who is told what arrives.
        held: A connection to the command that lent its pipes; closing it lets the command end.
    """

    def __init__(self, protocol: FarCarrier, held: socket.socket) -> None:
        super().__init__()
        self.protocol = protocol
        self.reader: asyncio.ReadTransport | None = None
        self.writer: asyncio.WriteTransport | None = None
        self._held: socket.socket | None = held

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def pause_reading(self) -> None:
        if self.reader is not None:
            self.reader.pause_reading()

    def resume_reading(self) -> None:
        if self.reader is not None:
            self.reader.resume_reading()

    def is_closing(self) -> bool:
        return self._held is None

    def close(self) -> None:
        self.pause_reading()
        if self.writer is not None:
            self.writer.close()

    def abort(self) -> None:
        self.lost(None)

    def lost(self, error: Exception | None) -> None:
        """Take both pipes as gone when either is."""
        if self._held is None:
            return
        self._held.close()
        self._held = None
        if self.writer is not None and not self.writer.is_closing():
            self.writer.abort()
        if self.reader is not None and not self.reader.is_closing():
            self.reader.close()
        self.protocol.connection_lost(error)


class ReadSide(asyncio.Protocol):
    """Passes on what comes from the reading pipe."""

    def __init__(self, pair: PipePair) -> None:
        self._pair = pair

    def data_received(self, data: bytes) -> None:
        self._pair.protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.lost(exc)


class WriteSide(asyncio.Protocol):
    """Passes on the back pressure of the writing pipe."""

    def __init__(self, pair: PipePair) -> None:
        self._pair = pair

    def pause_writing(self) -> None:
        self._pair.protocol.pause_writing()

    def resume_writing(self) -> None:
        self._pair.protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.lost(exc)


def run(folder: Path, runtime: Path, order: dict[str, Any], ready: int, guardian: int) -> None:
    """Run a keeper to its end; the guardian's child calls this."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(folder, runtime, order, ready, guardian))
