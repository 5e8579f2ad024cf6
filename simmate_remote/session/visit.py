"""A visit: one login that reaches the keeper of a host, looks or ends what is there, and leaves; without a session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from simmate_remote.errors import KeeperError, Remedy
from simmate_remote.inventory.models import Host
from simmate_remote.keeper.host.lease import VISITOR
from simmate_remote.keeper.launch import launch
from simmate_remote.keeper.request import LaunchRequest
from simmate_remote.link import Ask, connect
from simmate_remote.session.host_clock import ahead_of_ours, by_our_clock
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.keepalive import Keepalive

END_TIMEOUT = 60.0


class Visit:
    """What a visitor can do; :func:`visit` makes it.

    Args:
        keeper: The keeper's calls.
        conversation: What carries them.
        host: The host's name, for messages.
    """

    def __init__(self, keeper: Caller, conversation: Conversation, host: str) -> None:
        self._keeper = keeper
        self._host = host
        self._left = asyncio.Event()
        conversation.carriers_changed = lambda: self._carriers_changed(conversation)

    async def report(self) -> dict[str, Any]:
        """Ask what runs there."""
        report: dict[str, Any] = by_our_clock(*await ahead_of_ours(self._keeper.call("report")))
        return report

    async def end_everything(self, reason: str) -> None:
        """End all that is ours there, and wait until it has ended.

        Args:
            reason: Why, for whoever worked with it.

        Raises:
            KeeperError: It did not end in time.
        """
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self._keeper.call("stop", reason=reason)
                await self._left.wait()
        except TimeoutError as error:
            raise KeeperError(
                f"not everything there had ended after {END_TIMEOUT:.0f} s",
                host=self._host,
                remedies=(Remedy(f"simmate-remote ps {self._host}", "shows what is left"),),
            ) from error

    def _carriers_changed(self, conversation: Conversation) -> None:
        if not conversation.carriers:
            # A visitor does not come back: nothing shall wait for another carrier.
            self._left.set()
            conversation.close("the connection was lost")


@contextlib.asynccontextmanager
async def visit(host: Host, ask: Ask | None, step: Callable[[str], None]) -> AsyncIterator[Visit]:
    """Log in at a host, and reach the keeper that lives there; nothing is started, held or renewed.

    Args:
        host: The host.
        ask: Answers the questions of the login.
        step: Told what is being done.

    Raises:
        KeeperGoneError: Nothing of ours lives there.
        KeeperElsewhereError: Another machine behind the same name has it.
        SimmateRemoteError: It could not be reached.
    """
    order = SessionOrder.of(host, VISITOR)
    step(f"logging in at {host.ssh}")
    link = await connect(order.destination(), ask)
    conversation = Conversation(first=True, owner=VISITOR)
    try:
        request = LaunchRequest(
            folder=order.folder,
            python=order.python,
            lease=0.0,
            distributions=(),
            keepalive=Keepalive(order.keepalive_interval, order.keepalive_tries),
            process=None,
            start=False,
        )
        await launch(link, conversation, request, lambda _: None)
        lost = lambda: KeeperError("the connection to the keeper was lost", host=host.name)  # noqa: E731 - a thunk
        _, keeper = conversation.open("control", lambda: Caller(lost=lost))
        yield Visit(keeper, conversation, host.name)
    finally:
        conversation.close("the visit is over")
        await link.close()
