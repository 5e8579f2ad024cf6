"""A session's first login, begun before the rest of the session is even imported: for everything else it is waited."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from simmate_remote.link import Ask, Link, Prompt, connect

if TYPE_CHECKING:
    from simmate_remote.keeper.arrival import Called
    from simmate_remote.session.order import SessionOrder

HEAD_START = 0.25
"""Seconds that a login has this process for itself; one that takes longer waits for the network, and not for this."""


class FirstLogin:
    """A login that is under way, and the first command there, in which a Python starts.

    Args:
        order: Where it goes.
    """

    def __init__(self, order: SessionOrder) -> None:
        self._order = order
        self._answers: asyncio.Future[Ask] = asyncio.get_running_loop().create_future()
        self._idle = asyncio.Event()
        self._calling: asyncio.Task[Called] | None = None
        self._link = asyncio.create_task(self._log_in())

    async def head_start(self) -> None:
        """Wait until it has little left to do here: the command is on its way, a person is asked, or all takes long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START):
                await self._idle.wait()

    async def finish(self, ask: Ask) -> Link:
        """Wait until it is done.

        Args:
            ask: Answers what it asks; a question that came before has waited for this.

        Raises:
            LinkError: One of its subclasses for each way to fail.
        """
        self._answers.set_result(ask)
        return await self._link

    def take_call(self) -> asyncio.Task[Called] | None:
        """Give the command that was begun right after the login, to whoever asks first."""
        calling, self._calling = self._calling, None
        return calling

    async def _log_in(self) -> Link:
        try:
            link = await connect(self._order.destination(), self._ask)
            from simmate_remote.keeper.arrival import call
            from simmate_remote.session.keeper_request import keeper_request

            self._calling = asyncio.create_task(call(link, keeper_request(self._order, start=True).wish()))
            self._calling.add_done_callback(self._called)
        except BaseException:
            self._idle.set()
            raise
        return link

    def _called(self, calling: asyncio.Task[Called]) -> None:
        self._idle.set()
        if not calling.cancelled():
            calling.exception()  # which is told to whoever takes it, if anybody does

    async def _ask(self, prompt: Prompt) -> str | None:
        self._idle.set()
        ask = await asyncio.shield(self._answers)
        return await ask(prompt)


def import_for_call() -> None:
    """Import, and read, what the first command needs: in a thread, while the login waits for the network."""
    from simmate_remote.keeper.package import own_package
    from simmate_remote.session import keeper_request  # noqa: F401

    own_package()
