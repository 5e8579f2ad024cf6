"""The host, as a session has it: one login, the keeper's calls, and the nursery's children."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from simmate_remote.environment.versions import COMPARED, compare
from simmate_remote.errors import KeeperError, Remedy, SchedulerError, SimmateRemoteError, WorkersError
from simmate_remote.keeper.launch import Launched, LaunchRequest, ProcessRequest, launch
from simmate_remote.link import Ask, Destination, Link
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.calls import Caller, Handler
from simmate_remote.streams.carrier import Keepalive
from simmate_remote.streams.conversation import Conversation

NURSERY = "simmate_remote.cluster.host.nursery"
GOODBYE_TIMEOUT = 30.0


class RemoteHost:
    """One login at a host and the keeper behind it.

    Args:
        host: What the inventory says.
        ended: Called when a process of ours on the host ends by itself, with its name and the end of its log.
    """

    def __init__(self, host: SessionOrder, ended: Callable[[str, int | None, str], None]) -> None:
        self.host = host
        self.warnings: list[str] = []
        self.about: dict[str, Any] = {}
        self.found_lease = 0.0
        self.launched: Launched | None = None
        self.conversation = Conversation(first=True)
        self.conversation.carriers_changed = self._carriers_changed
        self.unreachable = asyncio.Event()
        self.link: Link | None = None
        self._keeper: Caller | None = None
        self._reaching = asyncio.Lock()
        self._ended = ended

    @property
    def keeper(self) -> Caller:
        """The keeper's calls."""
        if self._keeper is None:
            raise KeeperError("the keeper has not been reached yet", host=self.host.name)
        return self._keeper

    async def log_in(self, ask: Ask) -> None:
        """Make the one login."""
        host = self.host
        destination = Destination(
            host=host.name,
            ssh=host.ssh,
            config=host.ssh_config,
            keepalive_interval=host.keepalive_interval,
            keepalive_tries=host.keepalive_tries,
            connect_timeout=host.connect_timeout,
        )
        # Here and not above: its import takes a quarter of a second, and the control socket is open by now.
        from simmate_remote.link import connect

        self.link = await connect(destination, ask)

    async def reach_keeper(self, lease: float) -> None:
        """Start the keeper, or find it.

        Args:
            lease: Seconds that a new keeper keeps everything without a client, until it is told otherwise.
        """
        async with self._reaching:
            await self._reach_keeper(lease)

    async def _reach_keeper(self, lease: float) -> None:
        assert self.link is not None
        host = self.host
        keepalive = Keepalive(host.keepalive_interval, host.keepalive_tries)
        environment = host.workers.get("environment") or {}
        request = LaunchRequest(
            folder=host.folder,
            python=host.python,
            lease=lease,
            distributions=COMPARED,
            keepalive=keepalive,
            process=ProcessRequest("nursery", NURSERY, environment),
        )
        self.launched = await launch(self.link, self.conversation, request, self._check)
        handlers: dict[str, Handler] = {"process_ended": self._process_ended, "process_event": self._process_event}
        lost = lambda: KeeperError("the connection to the keeper was lost", host=host.name)  # noqa: E731 - a thunk
        _, self._keeper = self.conversation.open("control", lambda: Caller(handlers, lost=lost))
        self.about = await self.keeper.call("describe")
        if not self.launched.started:
            self.found_lease = float(self.about["lease"])
            await self.keeper.call("forget_lost_conversations")

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

    def read_logs(self, names: list[str] | None, last: int, *, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of the logs there."""
        return self.keeper.items("read_logs", names=names, last=last, follow=follow)

    async def end_everything(self) -> None:
        """End all that is ours on the host, and wait until it has ended."""
        with contextlib.suppress(SimmateRemoteError, TimeoutError):
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                # A keeper that is just being started has to be reached first, or it would outlive us.
                async with self._reaching:
                    reached = self._keeper is not None
                if reached:
                    await self.keeper.call("stop", reason="a session asked for it")
                    await self.unreachable.wait()

    async def leave(self) -> None:
        """End the login; what runs on the host goes on for as long as its lease."""
        self.conversation.close("the session ended")
        if self.link is not None:
            await self.link.close()

    async def _did_not_start(
        self, kind: type[SchedulerError | WorkersError], name: str, error: KeeperError
    ) -> SimmateRemoteError:
        tail = ""
        with contextlib.suppress(KeeperError):
            tail = await self.keeper.call("tail", name=name) or await self.keeper.call("tail", name="nursery")
        return kind(
            f"{name} did not start: {error.what}",
            host=self.host.name,
            meanwhile="everything else there is being ended",
            remedies=(
                Remedy(f"simmate-remote hosts show {self.host.name}", "`workers:` says what they are given"),
                Remedy(f"simmate-remote connect {self.host.name}", "tries again"),
            ),
            detail=tail or error.detail,
        )

    def _carriers_changed(self) -> None:
        if not self.conversation.carriers:
            self.unreachable.set()

    def _check(self, found: Launched) -> None:
        assert self.link is not None
        ssh = self.link.destination.ssh_command()
        self.warnings = compare(self.host.name, ssh, found.python, found.executable, found.versions)

    def _process_ended(self, process: str, code: int | None, tail: str) -> None:
        self._ended(process, code, tail)

    async def _process_event(self, process: str, event: str, name: str, code: int | None) -> None:
        if event == "child_ended":
            tail = ""
            with contextlib.suppress(KeeperError):
                tail = await self.keeper.call("tail", name=name)
            self._ended(name, code, tail)
