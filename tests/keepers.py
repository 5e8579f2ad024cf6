"""A keeper on a box, reached without a session: what its tests type, and what they look at."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from simmate_remote.keeper.launch import Launched, launch
from simmate_remote.keeper.request import LaunchRequest, ProcessRequest
from simmate_remote.link import Destination, Link, connect
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.keepalive import Keepalive
from tests.boxes import Box

RECORD = "~/simmate-remote/keepers/$(hostname).json"
ENDS = 20.0
NURSERY = ProcessRequest("nursery", "simmate_remote.cluster.host.nursery", {})


class Reached(NamedTuple):
    """A login that reached a keeper.

    Args:
        launched: What answered.
        keeper: Its calls.
        link: The login.
        conversation: What it carries.
    """

    launched: Launched
    keeper: Caller
    link: Link
    conversation: Conversation


@contextlib.asynccontextmanager
async def reached(
    box: Box, *, owner: str = "laptop", conversation: Conversation | None = None, lease: float = 30.0, **wish: Any
) -> AsyncIterator[Reached]:
    """Log in and reach the keeper; leave as a near end that dies does, without a word.

    Args:
        box: Where.
        owner: Whose conversation it is.
        conversation: One to go on with; default: a new one.
        lease: Seconds; a new keeper's first lease.
        wish: Further fields of the request.
    """
    link = await connect(Destination("lab-box", box.alias, str(box.ssh_config)), None)
    conversation = conversation or Conversation(first=True, owner=owner)
    request = LaunchRequest("~/simmate-remote", box.python, lease, (), Keepalive(2.0, 2), NURSERY)
    try:
        launched = await launch(link, conversation, dataclasses.replace(request, **wish), lambda _: None)
        _, keeper = conversation.open("control", Caller)
        yield Reached(launched, keeper, link, conversation)
    finally:
        await link.close()


async def end(box: Box) -> None:
    """End everything there."""
    async with reached(box, owner="visitor", start=False) as there:
        await there.keeper.call("stop", reason="the test is over")


def record(box: Box) -> dict[str, Any]:
    """Give what the keeper there wrote of itself."""
    return dict(json.loads(box.run(f"cat {RECORD}").stdout))


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something that happens on the box, but not for ever."""
    deadline = time.monotonic() + ENDS
    while not (found := condition()) or (inspect.isawaitable(found) and not await found):
        assert time.monotonic() < deadline, f"not within {ENDS:.0f} s: {what}"
        await asyncio.sleep(0.05)
