"""A keeper on a box, reached without a session: what its tests type, and what they look at."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from simmate_remote.keeper.launch import Launched, launch
from simmate_remote.keeper.request import LaunchRequest, ProcessRequest
from simmate_remote.link import Destination, Link, connect
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.keepalive import Keepalive
from tests.boxes import Box

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
