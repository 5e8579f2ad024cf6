"""What checks share: the host, its one login, our program there, and what was found so far."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simmate_remote.doctor.check import Stage
from simmate_remote.doctor.command import Output, run_command
from simmate_remote.doctor.finding import Finding
from simmate_remote.doctor.patient_link import PatientLink
from simmate_remote.doctor.tunnel import Tunnel
from simmate_remote.errors import KeeperError, Remedy, SimmateRemoteError
from simmate_remote.inventory.models import Host
from simmate_remote.keeper.arrival import Found
from simmate_remote.keeper.errand import run_errand
from simmate_remote.keeper.host.lease import VISITOR
from simmate_remote.link import Ask, Link, connect
from simmate_remote.link.hop import Hop
from simmate_remote.link.route import find_route
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.calls import Caller

PROGRAM = "simmate_remote.doctor.host.program"
ARRIVAL_LIMIT = 30.0
PATIENCE = 2.0
"""Seconds after which a server that refuses a command is believed."""

CLOSING = 5.0
"""Seconds for our program there to end."""

SAFE = re.compile(r"[A-Za-z0-9/._-]+")
FALLBACK = "/tmp"  # noqa: S108 - a folder of mode 0700 is made in it


@dataclass(frozen=True)
class Attempt:
    """The one login.

    Args:
        link: What it gave; None if it failed.
        error: Why it failed.
    """

    link: PatientLink | None = None
    error: SimmateRemoteError | None = None


class Examination:
    """One examination, of a host or of this machine.

    Args:
        host: The host; None: this machine is examined.
        ask: Answers the questions of the login; None: nobody can be asked.
        step: Told what is being done.

    Attributes:
        findings: What was found so far, by the name of the check.
        attempt: The login, as soon as there was one.
        found: What the host's Python told, if our program runs there.
        arrival_error: Why it does not.
    """

    def __init__(self, host: Host | None, ask: Ask | None, step: Callable[[str], None]) -> None:
        self._host = host
        self._ask = ask
        self._step = step
        self._way: list[Hop] | None = None
        self._caller: Caller | None = None
        self._transport: asyncio.Transport | None = None
        self._tunnel: Tunnel | None = None
        self.findings: dict[str, Finding] = {}
        self.attempt = Attempt()
        self.found: Found | None = None
        self.arrival_error: SimmateRemoteError | None = None

    @property
    def host(self) -> Host:
        """The host that is examined."""
        assert self._host is not None, "this check belongs to the stage `here`, which has no host"
        return self._host

    @property
    def ssh(self) -> str:
        """The command that logs in there by hand; what shall run there may follow it."""
        return SessionOrder.of(self.host, VISITOR).destination().ssh_command()

    @property
    def link(self) -> PatientLink:
        """The login; only for checks of the stages after it."""
        assert self.attempt.link is not None
        return self.attempt.link

    async def way(self) -> list[Hop]:
        """Give the machines to log in to one after another, as the SSH configuration says; the last is the host.

        Raises:
            SSHConfigError: It cannot be followed.
        """
        if self._way is None:
            self._way = await find_route(SessionOrder.of(self.host, VISITOR).destination())
        return self._way

    async def command(self, command: str) -> Output:
        """Run a command in the login shell there."""
        return await run_command(self.link, command)

    async def call(self, name: str, **arguments: Any) -> Any:
        """Ask our program on the host; only for checks of the stage ``host``."""
        assert self._caller is not None
        return await self._caller.call(name, **arguments)

    async def tunnel(self) -> Tunnel:
        """Give a keeper that was started for this examination; only for checks of the stage ``tunnel``."""
        if self._tunnel is None:
            parent = str(self.findings["runtime-folder"].data["parent"])
            self._tunnel = Tunnel(
                self.link,
                SessionOrder.of(self.host, VISITOR),
                parent if SAFE.fullmatch(parent) else FALLBACK,
                self.found.executable if self.found else None,
            )
            await self._tunnel.start()
        return self._tunnel

    # For the runner

    async def enter(self, stage: Stage) -> None:
        """Make what a stage needs; what cannot be made is for its checks to tell.

        A server may allow one command at a time: what was opened for another stage is closed before.
        """
        if stage is not Stage.HOST:
            await self._leave_program()
        if stage not in (Stage.HERE, Stage.WAY) and self.attempt == Attempt():
            await self._log_in()
        if stage is Stage.HOST and self.attempt.link and self.found is None and self.arrival_error is None:
            await self._arrive(self.attempt.link)

    async def close(self) -> None:
        """End the keeper, the program and the login; nothing is left there."""
        if self._tunnel is not None:
            await self._tunnel.close()
        await self._leave_program()
        if self.attempt.link is not None:
            await self.attempt.link.close()

    async def _log_in(self) -> None:
        order = SessionOrder.of(self.host, VISITOR)
        self._step(f"logging in at {order.ssh}")
        try:
            self.attempt = Attempt(link=PatientLink(await connect(order.destination(), self._ask), PATIENCE))
        except SimmateRemoteError as error:
            self.attempt = Attempt(error=error)

    async def _arrive(self, link: Link) -> None:
        order = SessionOrder.of(self.host, VISITOR)
        try:
            async with asyncio.timeout(ARRIVAL_LIMIT):
                self._transport, self._caller, self.found = await run_errand(
                    link, PROGRAM, Caller, folder=order.folder, python=order.python
                )
        except SimmateRemoteError as error:
            self.arrival_error = error
        except TimeoutError:
            self.arrival_error = KeeperError(
                f"our program there did not answer within {ARRIVAL_LIMIT:.0f} s",
                host=order.name,
                remedies=(
                    Remedy(f"{self.ssh} true", "if this takes as long, a start-up file of the shell there waits"),
                ),
            )

    async def _leave_program(self) -> None:
        if self._transport is None or self._caller is None:
            return
        transport, self._transport = self._transport, None
        transport.write_eof()
        with contextlib.suppress(SimmateRemoteError, TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._caller.closed.wait()
        transport.abort()
