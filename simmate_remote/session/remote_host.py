"""The host, as a session has it: one login, the keeper's calls, and the nursery's children."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from simmate_remote.environment.versions import compare
from simmate_remote.errors import (
    ForbiddenByServerError,
    KeeperElsewhereError,
    KeeperError,
    LinkError,
    LinkLostError,
    SchedulerError,
    SessionStoppedError,
    SimmateRemoteError,
    WorkersError,
)
from simmate_remote.keeper.arrival import Found
from simmate_remote.keeper.carriers import MoreCarriers
from simmate_remote.keeper.launch import Launched, launch
from simmate_remote.link import Ask, Link, Prompt, connect
from simmate_remote.session.first_login import FirstLogin
from simmate_remote.session.host_clock import ahead_of_ours, by_our_clock
from simmate_remote.session.keeper_request import keeper_request
from simmate_remote.session.lending import Lendings
from simmate_remote.session.openings import Openings
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.start_failures import did_not_start
from simmate_remote.session.unless_lost import do_unless_lost
from simmate_remote.streams.calls import Caller, Handler
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.keepalive import Keepalive

logger = logging.getLogger(__name__)

DESK = "runs"
"""What the keeper knows the desk for runs as; streams to it are conversations of calls."""

SSH_PORT = 22
GOODBYE_TIMEOUT = 30.0
HASTY_GOODBYE_TIMEOUT = 5.0
LINK_AFTER_CARRIER = 0.5
"""Seconds within which the loss of a link is told after that of its carriers: which of them is first is chance."""

SECOND_CARRIER_TIMEOUT = 10.0
"""Seconds for another carrier over a link that may itself be dead without a word."""


class RemoteHost:
    """One login at a host and the keeper behind it.

    Args:
        host: What the inventory says.
        first_login: The login there, under way.
        ended: Called when a process of ours on the host ends by itself, with its name and the end of its log.
        everything_ends: Called when everything on the host is about to end, with the reason.

    Attributes:
        found: What was on the host, or had been, when this session came, for people; None: nothing.
        silent: Whether the host has left a question unanswered for a while, or had when its carriers were lost.
        asked_a_person: Whether the login needed one, so that another one is not made lightly.
    """

    def __init__(
        self,
        host: SessionOrder,
        first_login: FirstLogin,
        ended: Callable[[str, int | None, str], None],
        everything_ends: Callable[[str], None],
    ) -> None:
        self.host = host
        self.warnings: list[str] = []
        self.about: dict[str, Any] = {}
        self.found: dict[str, Any] | None = None
        self.launched: Launched | None = None
        self.asked_a_person = False
        self.lendings = Lendings()
        self.conversation = Conversation(first=True, accept=self.lendings.accept, owner=host.owner)
        self.conversation.carriers_changed = self._carriers_changed
        self._openings = Openings(self.conversation)
        self.link: Link | None = None
        self.silent = False
        self._node: tuple[str, int] | None = None
        self._news = asyncio.Event()
        self._keeper: Caller | None = None
        self._more_carriers: MoreCarriers | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._first_login = first_login
        self._reaching = asyncio.Lock()
        self._given_up = False
        self._ended = ended
        self._everything_ends = everything_ends

    @property
    def keeper(self) -> Caller:
        """The keeper's calls."""
        if self._keeper is None:
            raise KeeperError("the keeper has not been reached yet", host=self.host.name)
        return self._keeper

    @property
    def connected(self) -> bool:
        """Whether anything is being carried."""
        return bool(self.conversation.carriers)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that a change of carriers brings about."""
        while not condition():
            await self._news.wait()

    async def log_in(self, ask: Ask) -> None:
        """Have the one login."""
        self.link = await self._first_login.finish(self._noting(ask))

    async def go_to_node(self, error: KeeperElsewhereError, ask: Ask) -> None:
        """Log in once more: the name led to another of its machines than the one that has the keeper.

        Args:
            error: Which machine that is.
            ask: Answers what the login asks.

        Raises:
            KeeperElsewhereError: It cannot be reached by itself.
        """
        if not self._learn_node(error):
            raise error
        assert self.link is not None
        await self.link.close()
        try:
            self.link = await self._log_in(ask, impatient=False)
        except LinkError as reason:
            raise error from reason

    def _learn_node(self, error: KeeperElsewhereError) -> bool:
        """Take note of the machine to go to, and give whether that is news."""
        known, self._node = self._node, (error.address, error.port or SSH_PORT) if error.address else self._node
        return self._node != known

    async def _log_in(self, ask: Ask | None, *, impatient: bool) -> Link:
        destination = self.host.destination(impatient=impatient, node=self._node)
        return await connect(destination, self._noting(ask) if ask is not None else None)

    def _noting(self, ask: Ask) -> Ask:
        async def answer(prompt: Prompt) -> str | None:
            self.asked_a_person = self.asked_a_person or prompt.kind != "host-key"
            return await ask(prompt)

        return answer

    async def reach_keeper(self) -> None:
        """Start the keeper, or find it."""
        async with self._reaching:
            if self._given_up:
                raise SessionStoppedError("the session ends before it has begun", host=self.host.name)
            assert self.link is not None
            self.launched = await launch(
                self.link,
                self.conversation,
                keeper_request(self.host, start=True),
                self._check,
                self._first_login.take_call(),
            )
            self.warnings += self.launched.warnings
            handlers: dict[str, Handler] = {
                "process_ended": self._ended,
                "process_event": self._process_event,
                "everything_ends": self._everything_ends,
            }
            _, self._keeper = self.conversation.open("control", lambda: Caller(handlers, lost=self._keeper_lost))
            self.about, ahead = await ahead_of_ours(self.keeper.call("describe"))
            self.found = by_our_clock(self._account(), ahead)
            self._add_carriers(self.link)
            if not self.launched.started:
                await self.keeper.call("forget_lost_conversations", owner=self.host.owner)

    def _keeper_lost(self) -> KeeperError:
        return KeeperError("the connection to the keeper was lost", host=self.host.name)

    def _account(self) -> dict[str, Any] | None:
        assert self.launched is not None
        if not self.launched.started:
            return {"since": self.about["since"], **self.about["meanwhile"]}
        previous = self.launched.previous
        # What somebody ended on purpose is no news.
        return None if previous is None or previous.kind == "stopped" else previous._asdict()

    async def why_lost(self) -> str:
        """Say why the carriers were lost."""
        assert self.link is not None
        lost = asyncio.create_task(self.link.wait_lost())
        await asyncio.wait({lost}, timeout=LINK_AFTER_CARRIER)
        if not lost.cancel():
            return lost.result().what
        if self.silent:
            return "the link was lost: the host does not answer any more"
        return "the connection to the keeper on the host was lost"

    async def come_back(self, ask: Ask | None) -> None:
        """Let every stream go on: over another carrier of the link if it lives, or over another login.

        Args:
            ask: Answers what the login asks; None: nobody can be asked.

        Raises:
            KeeperGoneError: There is nothing on the host any more to which the streams could go on.
            SimmateRemoteError: It did not work now.
        """
        if self.link is not None and not self.silent:
            lost = asyncio.create_task(self.link.wait_lost())
            await asyncio.wait({lost}, timeout=LINK_AFTER_CARRIER)
            if not lost.cancel():
                logger.info("%s", lost.result().what)
            else:
                with contextlib.suppress(LinkLostError, ForbiddenByServerError, TimeoutError):
                    async with asyncio.timeout(SECOND_CARRIER_TIMEOUT):
                        await self._carry(self.link)
                        return
        link = await self._log_in(ask, impatient=True)
        old, self.link = self.link, link
        if old is not None:
            farewell = asyncio.create_task(old.close())
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)
        await self._carry(link)

    async def _carry(self, link: Link) -> None:
        """Let the conversation go on over this link alone."""
        if self._more_carriers is not None:
            await self._more_carriers.close()
        self.conversation.keep_only(())
        await self._attach(link)
        self._add_carriers(link)

    async def _attach(self, link: Link) -> None:
        try:
            await launch(link, self.conversation, keeper_request(self.host, start=False), lambda _: None)
        except KeeperElsewhereError as error:
            self._learn_node(error)
            raise

    def _add_carriers(self, link: Link) -> None:
        keepalive = Keepalive(self.host.keepalive_interval, self.host.keepalive_tries)
        socket = f"{self.about['runtime']}/carrier"
        self._more_carriers = MoreCarriers(link, self.conversation, keepalive, socket, lambda: self._attach(link))
        self._more_carriers.start()

    async def unless_lost(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that needs the link, which would wait for ever if the link were lost.

        Raises:
            LinkLostError: It was lost.
            KeeperError: The keeper was.
        """
        assert self.link is not None
        keeper_lost = self.until(lambda: self.conversation.begun and not self.connected)
        await do_unless_lost(work, self.link, keeper_lost, patience=LINK_AFTER_CARRIER)

    async def start_child(self, name: str, role: str, configuration: dict[str, Any]) -> dict[str, Any]:
        """Start a scheduler or a nanny, unless it lives, and give what it says of itself."""
        arguments = {"name": name, "role": role, "configuration": configuration}
        try:
            about: dict[str, Any] = await self.keeper.call(
                "call_process", name="nursery", call="start", arguments=arguments
            )
        except KeeperError as error:
            kind = SchedulerError if role == "scheduler" else WorkersError
            raise await self._did_not_start(kind, name, error) from error
        return about

    async def stop_child(self, name: str) -> None:
        """End a scheduler or a nanny."""
        await self.keeper.call("call_process", name="nursery", call="stop", arguments={"name": name})

    async def children(self) -> list[dict[str, Any]]:
        """Say which scheduler and nannies live."""
        try:
            listing: list[dict[str, Any]] = await self.keeper.call(
                "call_process", name="nursery", call="listing", arguments={}
            )
        except KeeperError as error:
            raise await self._did_not_start(SchedulerError, "nursery", error) from error
        return listing

    async def open_errand(self, module: str, path: str) -> None:
        """Listen on a Unix socket here; each connection to it is one to a module of ours that starts on the host.

        Args:
            module: A module below a ``host`` package of ours.
            path: Where the socket is made, for as long as the session lives.
        """
        target = f"errand {module}"
        await self.keeper.call("offer", target=target, place={"module": module})
        await self._openings.listen(target, path)

    async def open_desk(self, path: str) -> None:
        """Listen on a Unix socket here; each connection to it is one to the desk for runs."""
        await self._openings.listen(DESK, path)

    async def lend(self, target: str, path: str) -> str:
        """Let processes on the host connect to a Unix socket of this machine, and give the path of theirs."""
        self.lendings.add(target, path)
        return str(await self.keeper.call("lend", target=target))

    def read_logs(self, names: list[str] | None, last: int, *, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of the logs there."""
        return self.keeper.items("read_logs", names=names, last=last, follow=follow)

    async def end_everything(self, *, unless_lasting: bool) -> bool:
        """End all that is ours on the host, wait until it has ended, and give whether it did.

        Args:
            unless_lasting: Whether what an earlier session meant to last is left alone.
        """
        # A keeper that is just being started has to be reached first, or it would outlive us.
        async with self._reaching:
            reached = self._keeper is not None
            # And one that is not yet being started never shall be: nobody would be there to end it.
            self._given_up = True
        if not reached or (unless_lasting and self.about.get("notes", {}).get("lasting")):
            return False
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT if self.connected else HASTY_GOODBYE_TIMEOUT):
                await self.keeper.call("stop", reason="a session asked for it")
                await self.until(lambda: not self.connected)
        except (SimmateRemoteError, TimeoutError) as error:
            logger.warning("the host could not be told to end everything: %s", error)
            return False
        return True

    async def leave(self) -> None:
        """End the login; what runs on the host goes on for as long as its lease."""
        if self._more_carriers is not None:
            await self._more_carriers.close()
        self._openings.close()
        if self.connected and self._keeper is not None:
            # Dask drops what only programs here have asked for as soon as their connections end there, too.
            with contextlib.suppress(SimmateRemoteError, TimeoutError):
                async with asyncio.timeout(HASTY_GOODBYE_TIMEOUT):
                    await self._keeper.call("leave")
        self.conversation.close("the session ended")
        if self.link is not None:
            await self.link.close()
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def _did_not_start(
        self, kind: type[SchedulerError | WorkersError], name: str, error: KeeperError
    ) -> SimmateRemoteError:
        return did_not_start(self.host.name, kind, name, error, await self._tail(name, "nursery"))

    def _carriers_changed(self) -> None:
        if self.connected:
            self.silent = self.conversation.silent
        self._news.set()
        self._news = asyncio.Event()

    def _check(self, found: Found) -> None:
        assert self.link is not None
        ssh = self.link.destination.ssh_command()
        self.warnings = compare(self.host.name, ssh, found.python, found.executable, found.versions)

    async def _process_event(self, process: str, event: str, name: str, code: int | None) -> None:
        if event == "child_ended":
            self._ended(name, code, await self._tail(name))

    async def _tail(self, *names: str) -> str:
        """Give the end of the first of some logs that has anything, if the host can be asked."""
        with contextlib.suppress(KeeperError):
            for name in names:
                if tail := await self.keeper.call("tail", name=name):
                    return str(tail)
        return ""
