"""Coming back to a host, without a host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from simmate_remote.errors import NameNotResolvedError
from simmate_remote.session import pace
from simmate_remote.session.people import People
from simmate_remote.session.reconnection import Reconnection
from simmate_remote.session.remote_host import RemoteHost
from simmate_remote.session.state import Progress, State


class Lost:
    """A host that is lost, and reached again at the third attempt."""

    host = SimpleNamespace(name="lab-box", ssh="lab-box", lease=43_200.0, lease_text="12 h")
    silent = False
    asked_a_person = False

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.connected = False
        self.attempts = 0
        self.changed = asyncio.Event()
        self._meanwhile = meanwhile

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.changed.wait()

    async def why_lost(self) -> str:
        return "the link was lost"

    async def come_back(self, ask: object) -> None:
        self.attempts += 1
        if self.attempts < 3:
            self._meanwhile()
            raise NameNotResolvedError("the name has no address", host="lab-box")
        self.connected = True
        self.changed.set()
        self.changed = asyncio.Event()


class Nobody:
    """People who are not there."""

    def somebody_answers(self) -> bool:
        return False

    async def somebody_came(self) -> None:
        await asyncio.Event().wait()


async def test_a_clock_that_is_set_ahead_does_not_end_the_wait_for_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    right, ahead = time.time, 0.0

    def set_ahead() -> None:
        nonlocal ahead
        ahead = 86_400.0

    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    monkeypatch.setattr(pace, "UNANSWERED", 0.01)
    remote, progress = Lost(set_ahead), Progress("lab-box")
    progress.enter(State.CONNECTED)
    reconnection = Reconnection(cast(RemoteHost, remote), progress, cast(People, cast(Any, Nobody())))
    keeping = asyncio.create_task(reconnection.keep())
    back = asyncio.create_task(remote.until(lambda: remote.connected))
    await asyncio.wait({keeping, back}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert back.done()
    assert not keeping.done()
    keeping.cancel()
    await asyncio.wait({keeping})
