"""A session's first login, begun before the rest of the session is even imported: for everything else it is waited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from simmate_remote.link import Ask, Link, Prompt, connect

if TYPE_CHECKING:
    from simmate_remote.session.order import SessionOrder


class FirstLogin:
    """A login that is under way.

    Args:
        order: Where it goes.
    """

    def __init__(self, order: SessionOrder) -> None:
        self._answers: asyncio.Future[Ask] = asyncio.get_running_loop().create_future()
        self._link = asyncio.create_task(connect(order.destination(), self._ask))

    async def finish(self, ask: Ask) -> Link:
        """Wait until it is done.

        Args:
            ask: Answers what it asks; a question that came before has waited for this.

        Raises:
            LinkError: One of its subclasses for each way to fail.
        """
        self._answers.set_result(ask)
        return await self._link

    async def _ask(self, prompt: Prompt) -> str | None:
        ask = await asyncio.shield(self._answers)
        return await ask(prompt)
