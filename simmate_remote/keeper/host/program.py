"""The keeper itself: far ends of streams, the session's processes, and the lease on which all of it stands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from simmate_remote.errors import KeeperError, StreamResetError
from simmate_remote.keeper.host.conversations import Conversations
from simmate_remote.keeper.host.errands import Errands
from simmate_remote.keeper.host.journal import Journal, Work
from simmate_remote.keeper.host.lease import Lease, in_words
from simmate_remote.keeper.host.lending import Loans
from simmate_remote.keeper.host.logs import Logs
from simmate_remote.keeper.host.processes import Process
from simmate_remote.keeper.host.record import Kind, Previous, fresh_records
from simmate_remote.keeper.host.spawning import Spawned
from simmate_remote.keeper.host.usage import usage
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.carrier import FarCarrier, NotTakenError
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.splice import splice
from simmate_remote.version import __version__

logger = logging.getLogger(__name__)
LISTING_TIMEOUT = 5.0
PAUSE = 0.05
"""Seconds between the answer to a farewell and what it brings about."""

FAREWELL = 2.0
"""Seconds for a session to tell whoever waits for work why it ends, before Dask cancels that without a reason."""


class Keeper:
    """Everything that one user has on this machine through us.

    Args:
        folder: Our folder in the user's home.
        runtime: A private folder for sockets.
        lease: Seconds that everything stays without a client and without unfinished work.
        logs: The logs of what runs here.

    Attributes:
        ending: Set when everything shall end.
        last_words: Why, for the next login.
    """

    def __init__(self, folder: Path, runtime: Path, lease: float, logs: Logs) -> None:
        self.folder = folder
        self.runtime = runtime
        self.since = time.time()
        self.ending = asyncio.Event()
        self.last_words: Previous | None = None
        self.lease = Lease(lease, self._lease_ran_out)
        self.logs = logs
        self.journal = Journal()
        self.processes: dict[str, Process] = {}
        self._dead: list[str] = []
        self.targets: dict[str, dict[str, Any]] = {}
        self.notes: dict[str, Any] = {}
        self.work = Work()
        self._errands = Errands(logs)
        self._conversations = Conversations(self._accept, lease, self._carriers_changed, self.journal.add)
        self._was_attached = False
        self._visited = False
        self._carriers_news = asyncio.Event()
        self._callers: set[Caller] = set()

    def end(self, kind: Kind, text: str) -> None:
        """Let everything end, for a reason that all near ends and the next login hear.

        Args:
            kind: What kind of end it is.
            text: What happened, in a sentence without a full stop.
        """
        self._give_reason(kind, text)
        self.ending.set()

    # Carriers and streams

    def carrier(self, origin: str = "") -> FarCarrier:
        """Make the protocol of a new carrier, whose login came from an address."""
        about = {"keeper": __version__, "hostname": socket.gethostname()}
        conversations = self._conversations
        return FarCarrier(
            lambda token: conversations.find(token, origin),
            lambda token, owner: self._begin(token, owner, origin),
            lambda: about,
        )

    def _begin(self, token: str, owner: str, origin: str) -> Conversation:
        if self.last_words is not None:
            # What it has here is ending already, or gone: whoever comes now shall start afresh.
            raise NotTakenError(f"it is ending: {self.last_words.text}")
        return self._conversations.begin(token, owner, origin)

    def _carriers_changed(self) -> None:
        attached = self._conversations.attached > 0
        self._visited = self._visited or attached
        if attached and not self._was_attached:
            self.journal.visited(self.work)
        elif self._was_attached and not attached:
            self.journal.left_alone(self.work)
        self._was_attached = attached
        self._hold_lease()
        self._end_if_bereft()
        self._carriers_news.set()

    def _hold_lease(self) -> None:
        self.lease.hold(self._conversations.attached > 0 or self.work.unfinished > 0)

    def _end_if_bereft(self) -> None:
        """End when what this keeper was for is dead, and no session is there to decide: the next one starts afresh."""
        # A login that has just started it comes in a moment, and is to hear the reason.
        if self._dead and self._visited and not self._conversations.attached:
            self.end("died", f"{' and '.join(self._dead)} on the host died, and everything there was ended")

    def _lease_ran_out(self) -> None:
        self.end("lease", f"the lease of {in_words(self.lease.length)} ran out on the host, and everything there ended")

    async def _accept(self, target: str) -> asyncio.Protocol:
        if target == "control":
            return ControlCaller(self, self._callers)
        place = self.targets.get(target)
        if place is None:
            raise StreamResetError(f"the keeper knows no target {target!r}")
        near, far = splice()
        if "module" in place:
            await self._errands.begin(place["module"], far)
            return near
        loop = asyncio.get_running_loop()
        try:
            if "path" in place:
                await loop.create_unix_connection(lambda: far, place["path"])
            else:
                await loop.create_connection(lambda: far, place.get("host", "127.0.0.1"), place["port"])
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
            "time": time.time(),
            "since": self.since,
            "folder": str(self.folder),
            "runtime": str(self.runtime),
            "lease": self.lease.length,
            "lease_ends": self.lease.ends,
            "logs": str(self.logs.folder),
            "processes": [process.describe() for process in self.processes.values()],
            "targets": self.targets,
            "notes": self.notes,
            "work": self.work._asdict(),
            "sessions": self._conversations.describe(),
            "meanwhile": self.journal.describe(self.work),
            "cores": len(os.sched_getaffinity(0)),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        }

    async def report(self) -> dict[str, Any]:
        """Say all that ``ps`` shows: what is here, what each process uses, and which other machines have a keeper."""
        about = self.describe()
        del about["notes"]
        about["processes"] = await asyncio.to_thread(usage, await self._names())
        about["elsewhere"] = [
            {name: getattr(record, name) for name in ("hostname", "address", "port", "since")}
            for record in fresh_records(self.folder)
        ]
        return about

    def renew_lease(self, length: float) -> None:
        """Set how many seconds everything stays without a client, and streams without their near end."""
        self.lease.renew(length)
        self._conversations.be_patient(length)

    def note(self, name: str, value: Any) -> None:
        """Remember something for a later session."""
        self.notes[name] = value

    def offer(self, target: str, place: dict[str, Any]) -> None:
        """Let streams be opened to a Unix socket (``path``), a ``port`` (at a ``host``), or a ``module`` of ours."""
        self.targets[target] = place

    def forget_lost_conversations(self, owner: str) -> int:
        """End the conversations of an owner that have no carrier, and give their number: their near end is gone."""
        return self._conversations.forget_lost(owner)

    async def take_over(self, spawned: Spawned) -> None:
        """Be the one who calls a process of ours that was started already, and hears of its end."""
        process = Process(spawned, self._process_ended)
        process.calls.handlers["event"] = partial(self._process_event, process.name)
        self.processes[process.name] = process
        await process.connect()

    async def call_process(self, name: str, call: str, arguments: dict[str, Any]) -> Any:
        """Call a process and give its answer."""
        return await self._process(name).calls.call(call, **arguments)

    def read_logs(self, names: list[str] | None, last: int, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of logs."""
        return self.logs.read(names, last=last, follow=follow)

    def tail(self, name: str) -> str:
        """Give the end of a log."""
        return self.logs.tail(name)

    async def stop(self, reason: str, asker: Conversation | None = None) -> None:
        """End everything; the answer comes when all processes have ended, and the keeper ends after it."""
        self._give_reason("stopped", f"everything on the host was ended: {reason}")
        await self.end_processes(asker)
        asyncio.get_running_loop().call_later(PAUSE, self.ending.set)

    def leave(self, conversation: Conversation) -> None:
        """Let go of what a near end has here that leaves for good; what others want goes on."""
        self._conversations.leave(conversation.token)

    # Inside

    def _give_reason(self, kind: Kind, text: str) -> None:
        if self.last_words is None:
            logger.info("ending everything: %s", text)
            self.last_words = Previous(kind, self.since, time.time(), text)
            self._tell("everything_ends", reason=text)

    def _process(self, name: str) -> Process:
        try:
            return self.processes[name]
        except KeyError:
            raise KeeperError(f"no process here is called {name!r}") from None

    def _process_event(self, process: str, event: str, **about: Any) -> None:
        if event == "work":
            self.work = self.work._replace(**about)
            self._hold_lease()
            return
        if event == "child_ended":
            self.journal.add(f"{about['name']} died (exit code {about['code']})")
        self._tell("process_event", process=process, event=event, **about)

    def _process_ended(self, process: Process) -> None:
        self.processes.pop(process.name, None)
        logger.info("the process %s (pid %d) ended with %s", process.name, process.pid, process.code)
        if self.last_words is not None:
            return
        self.journal.add(f"{process.name} died (exit code {process.code})")
        self.work = self.work._replace(unfinished=0)
        self._hold_lease()
        self._tell("process_ended", process=process.name, code=process.code, tail=self.logs.tail(process.name))
        self._dead.append(f"the {process.name}")
        self._end_if_bereft()

    def _tell(self, name: str, /, **about: Any) -> None:
        for caller in self._callers:
            caller.tell(name, **about)

    async def _names(self) -> dict[int, str]:
        """Give the names of the processes that are known by theirs."""
        names = {process.pid: process.name for process in self.processes.values()}
        for process in list(self.processes.values()):
            try:
                for child in await asyncio.wait_for(process.calls.call("listing"), LISTING_TIMEOUT):
                    names[child["pid"]] = child["name"]
            except (KeeperError, TimeoutError) as error:
                logger.warning("%s does not say what it has started: %s", process.name, error)
        return names

    async def end_processes(self, asker: Conversation | None = None) -> None:
        """End every process, once the sessions that are connected have passed on why, but for the one that asked."""
        if self.processes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    while self._conversations.attached_besides(asker):
                        self._carriers_news.clear()
                        await self._carriers_news.wait()
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
            "describe", "report", "renew_lease", "note", "offer", "forget_lost_conversations",
            "call_process", "read_logs", "tail",
        )  # fmt: skip
        own = {"lend": self._lend, "lend_folder": self._lend_folder, "stop": self._stop, "leave": self._leave}
        super().__init__({name: getattr(keeper, name) for name in names} | own)
        self._keeper = keeper
        self._loans = Loans(keeper.runtime)
        self._callers = callers
        callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._callers.discard(self)
        self._loans.give_back()
        super().connection_lost(exc)

    async def _stop(self, reason: str) -> None:
        """End everything there."""
        await self._keeper.stop(reason, self._conversation)

    def _leave(self) -> None:
        """Let go of all that this near end has here: it does not come back."""
        # Once the answer is on its way.
        asyncio.get_running_loop().call_later(PAUSE, self._keeper.leave, self._conversation)

    async def _lend(self, target: str) -> str:
        """Let processes here connect to what the near end calls so, and give the path of the socket for it."""
        return await self._loans.take(self._conversation, target)

    async def _lend_folder(self, target: str, files: dict[str, str], socket: str | None) -> str:
        """Give processes here a folder with files of the near end's, and a socket that leads to what it calls so."""
        return await self._loans.take_folder(self._conversation, target, files, socket)

    @property
    def _conversation(self) -> Conversation:
        assert self._transport is not None
        return cast(Conversation, self._transport.get_extra_info("conversation"))
