"""The session keeps the rows of its host: whatever is told there is in the database here, while it is connected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from simmate_remote.errors import RunsUnavailableError, SimmateRemoteError
from simmate_remote.session.remote_host import DESK, RemoteHost
from simmate_remote.streams.calls import Caller

if TYPE_CHECKING:
    from simmate_remote.runs.following import Follower

logger = logging.getLogger(__name__)

PATIENCE_FOR_WORKERS = 2.0
"""Seconds after which runs are followed although the first workers are not there."""

PAUSE = 5.0
"""Seconds after which a desk that could not be asked is asked again."""


class Collecting:
    """Follows the host's desk for as long as the session lives.

    Args:
        remote: The host.
    """

    def __init__(self, remote: RemoteHost) -> None:
        self._remote = remote
        self._follower: Follower | None = None
        self._begun = asyncio.Event()
        self._delivering: set[asyncio.Task[dict[str, str]]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Say why rows are not written now; None: they are."""
        error = self._follower.trouble if self._follower else None
        return f"the runs of this host are not in the database yet: {error.what}" if error else None

    def start(self, workers: Callable[[], Awaitable[None]]) -> None:
        """Begin, once the host's scheduler is there.

        Args:
            workers: Waits for the first workers: the desk opens for us, and their start shall not wait for that.
        """
        self._task = asyncio.create_task(self._keep_following(workers))

    async def leave(self) -> None:
        """End it; what is told from now on is collected by the next session."""
        ending = {*self._delivering, *([self._task] if self._task is not None else [])}
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def news(self, patience: float) -> dict[str, Any] | None:
        """Give what became of the host's runs since somebody was told, in plain data.

        Args:
            patience: Seconds to wait until all is collected that was told there.
        """
        with contextlib.suppress(TimeoutError, SimmateRemoteError):
            async with asyncio.timeout(patience):
                await self._begun.wait()
                assert self._follower is not None
                await self._follower.caught_up.wait()
                await self._follower.reach_end()
        return await self._follower.news(0) if self._follower is not None else None

    async def finish(self, patience: float) -> None:
        """Wait until the rows have what the host has told up to now, if that can be.

        Args:
            patience: Seconds.
        """
        if self._follower is not None and self._follower.trouble is None:
            with contextlib.suppress(TimeoutError, SimmateRemoteError):
                async with asyncio.timeout(patience):
                    await self._follower.reach_end()

    async def deliver(self) -> dict[str, str]:
        """Tell the host which runs are to be cancelled, and give how they stand then; while it is away this waits."""
        # It is done also when whoever asked for it does not wait.
        delivering = asyncio.create_task(self._deliver())
        self._delivering.add(delivering)
        delivering.add_done_callback(self._delivering.discard)
        return await asyncio.shield(delivering)

    async def _deliver(self) -> dict[str, str]:
        await self._begun.wait()
        assert self._follower is not None
        return await self._follower.deliver()

    async def _keep_following(self, workers: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait_for(workers(), PATIENCE_FOR_WORKERS)
        except TimeoutError:
            pass
        except SimmateRemoteError as error:
            logger.info("runs are followed without the first workers: %s", error.what)
        except Exception:
            logger.exception("runs are followed without the first workers")
        # Here and not above: the first answer of the scheduler shall not wait for it.
        from simmate_remote.runs.following import Follower

        name = self._remote.host.name
        launched = self._remote.launched
        assert launched is not None
        while True:
            _, caller = self._remote.conversation.open(DESK, self._caller)
            self._follower = Follower(_AskedByCalls(caller), name, launched.found.hostname)
            self._begun.set()
            try:
                await self._follower.follow()
            except SimmateRemoteError as error:
                logger.info("runs are not followed now: %s", error.what)
            except Exception:
                logger.exception("runs are not followed now")
            finally:
                caller.close()
            await asyncio.sleep(PAUSE)

    def _caller(self) -> Caller:
        name = self._remote.host.name
        return Caller(lost=lambda: RunsUnavailableError("the desk for runs on the host is gone", host=name))


class _AskedByCalls:
    """The desk, asked over a stream."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def describe(self) -> dict[str, Any]:
        about: dict[str, Any] = await self._caller.call("describe")
        return about

    def journal(self, offset: int, *, follow: bool) -> AsyncGenerator[dict[str, Any], None]:
        items = self._caller.items("journal", offset=offset, follow=follow)
        return cast(AsyncGenerator[dict[str, Any], None], items)

    async def status(self, ids: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = await self._caller.call("status", ids=list(ids))
        return found

    async def cancel(self, run: str) -> str:
        return str(await self._caller.call("cancel", id=run))
