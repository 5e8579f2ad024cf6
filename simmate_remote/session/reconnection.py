"""Reconnection: notice that a host cannot be reached any more, and come back to it, for as long as that takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from simmate_remote.errors import KeeperGoneError, LinkLostError, Remedy, SimmateRemoteError
from simmate_remote.session.pace import Pace, needs_a_person
from simmate_remote.session.people import People
from simmate_remote.session.remote_host import RemoteHost
from simmate_remote.session.state import Progress, State
from simmate_remote.streams.clock import elapsed

logger = logging.getLogger(__name__)


class Reconnection:
    """Keeps one host reachable.

    A link that is lost has nearly always been silent before. So the first attempt begins as soon as the host leaves a
    question unanswered, and is given up if an answer comes after all; only where the login needs a person, the old
    link is given all the time that its keepalive allows.

    Args:
        remote: The host.
        progress: Told how it goes.
        people: Who can be asked.
    """

    def __init__(self, remote: RemoteHost, progress: Progress, people: People) -> None:
        self._remote = remote
        self._progress = progress
        self._people = people

    async def keep(self) -> None:
        """Come back after each loss, for ever.

        Raises:
            KeeperGoneError: There is nothing on the host any more to come back to, or it could not be reached for so
                long that there cannot be.
        """
        while True:
            await self._remote.until(self._in_trouble)
            logger.info("the host is %s", "silent" if self._remote.connected else "lost")
            reporting = asyncio.create_task(self._report_loss())
            try:
                await self._come_back()
            finally:
                reporting.cancel()
            if self._progress.state in (State.RECONNECTING, State.WAITING):
                self._progress.came_back()
            logger.info("the host answers")

    # Inside

    def _in_trouble(self) -> bool:
        remote = self._remote
        return not remote.connected or (remote.silent and not remote.asked_a_person)

    def _well(self) -> bool:
        return self._remote.connected and not self._remote.silent

    async def _report_loss(self) -> None:
        """Enter the state when the carriers are lost, and not for a silence that may pass."""
        remote, host = self._remote, self._remote.host
        await remote.until(lambda: not remote.connected)
        reason = await remote.why_lost()
        error = LinkLostError(
            reason,
            host=host.name,
            meanwhile="work on the host goes on, and whatever waits for it here goes on waiting",
            remedies=(
                Remedy(f"simmate-remote status {host.name}", "shows how it goes"),
                Remedy(f"simmate-remote connect {host.name}", "tries at once, and asks what the login may ask"),
            ),
        )
        self._progress.went_out(error)
        self._progress.step(f"{reason}; trying to reach {host.ssh} again")

    async def _come_back(self) -> None:
        pace = Pace()
        began = elapsed()
        while True:
            error = await self._try_once()
            if error is None:
                return
            if elapsed() - began > self._remote.host.lease:
                raise self._too_late(error, time.time() - (elapsed() - began))
            pause = pace.pause(error)
            logger.info("%s; next attempt in %.1f s", error.what, pause)
            if self._progress.state in (State.RECONNECTING, State.WAITING):
                waits = needs_a_person(error) and not self._people.somebody_answers()
                self._progress.enter(State.WAITING if waits else State.RECONNECTING, error)
                self._progress.step(error.what)
            if await self._well_within(pause):
                return

    def _too_late(self, error: SimmateRemoteError, began: float) -> KeeperGoneError:
        host = self._remote.host
        return KeeperGoneError(
            f"the host could not be reached for {host.lease_text}, after which it ends the connections that were lost",
            host=host.name,
            since=began,
            meanwhile="unfinished work that needs nobody here goes on there",
            remedies=(Remedy(f"simmate-remote connect {host.name}", "shows what is left"), *error.remedies),
            detail=error.what,
        )

    async def _try_once(self) -> SimmateRemoteError | None:
        """Try to come back; give what went wrong, or None if all is well, by whatever way."""
        remote, people = self._remote, self._people
        ask = people.ask if people.somebody_answers() else None
        attempt = asyncio.create_task(remote.come_back(ask))
        answered = asyncio.create_task(remote.until(self._well))
        try:
            await asyncio.wait({attempt, answered}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                # Either the old carriers answer after all, or the attempt's own is there, and it ends in a moment.
                await asyncio.wait({attempt}, timeout=1.0)
            if not attempt.done():
                return None
            await attempt
        except KeeperGoneError:
            raise
        except SimmateRemoteError as error:
            return None if self._well() else error
        finally:
            answered.cancel()
            attempt.cancel()
            await asyncio.wait({attempt, answered})
        return None

    async def _well_within(self, seconds: float) -> bool:
        """Wait for the next attempt, and give whether it is needless: a person who comes need not wait for it."""
        came = asyncio.create_task(self._people.somebody_came())
        answered = asyncio.create_task(self._remote.until(self._well))
        try:
            await asyncio.wait({came, answered}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return self._well()
        finally:
            came.cancel()
            answered.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({came, answered})
