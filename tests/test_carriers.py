"""The second carrier of a conversation: made over whatever the server allows, and made again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from simmate_remote.keeper.carriers import DISTANT, MoreCarriers
from simmate_remote.keeper.launch import launch
from simmate_remote.keeper.request import LaunchRequest
from simmate_remote.streams.keepalive import Keepalive
from simmate_remote.testing import EmbeddedHost
from tests.boxes import Box, EmbeddedBox, LabBox, assert_nothing_left
from tests.keepers import NURSERY, Reached, end, reached
from tests.lab import Lab

PATIENCE = 30.0
KEEPALIVE = Keepalive(2.0, 2)


@contextlib.contextmanager
def restricted(kind: str, request: pytest.FixtureRequest, *, forwarding: bool, sessions: int) -> Iterator[Box]:
    """Give a box whose server allows only so much."""
    if kind == "embedded":
        with EmbeddedHost(allow_forwarding=forwarding, max_sessions=sessions) as host:
            yield (box := EmbeddedBox(host))
            assert_nothing_left(box)
        return
    lab = request.getfixturevalue("lab")
    with lab.sshd(MaxSessions=sessions, AllowStreamLocalForwarding="yes" if forwarding else "no"):
        yield (real := LabBox(lab))
        assert_nothing_left(real)


@contextlib.asynccontextmanager
async def tended(box: Box, distant: float = 0.0) -> AsyncIterator[tuple[Reached, MoreCarriers]]:
    """Reach a keeper, and let more carriers be made at once; afterwards nothing runs on the box."""
    async with asyncio.timeout(PATIENCE):
        async with reached(box, owner="visitor") as there:
            about = await there.keeper.call("describe")
            wish = LaunchRequest("~/simmate-remote", box.python, 30.0, (), KEEPALIVE, NURSERY, start=False)
            more = MoreCarriers(
                there.link,
                there.conversation,
                KEEPALIVE,
                f"{about['runtime']}/carrier",
                lambda: launch(there.link, there.conversation, wish, lambda _: None),
                pause=0.05,
                distant=distant,
            )
            more.start()
            try:
                yield there, more
            finally:
                await more.close()
        await end(box)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what the host or a task brings about; the limit is the one around it."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)


async def still_exact(there: Reached) -> None:
    """Let more bytes than a channel's window go up and come back, and compare them."""
    text = random.Random(1).randbytes(2_000_000).hex()
    await there.keeper.call("note", name="text", value=text)
    assert (await there.keeper.call("describe"))["notes"]["text"] == text


@pytest.mark.parametrize("kind", ["embedded", pytest.param("lab", marks=pytest.mark.lab)])
@pytest.mark.parametrize(
    ("forwarding", "sessions", "carriers"),
    [(True, 10, 2), (True, 1, 2), (False, 10, 2), (False, 1, 1)],
    ids=["all allowed", "one session", "no forwarding", "neither"],
)
async def test_there_are_two_where_the_server_allows_it_and_one_where_not(
    kind: str, forwarding: bool, sessions: int, carriers: int, request: pytest.FixtureRequest
) -> None:
    with restricted(kind, request, forwarding=forwarding, sessions=sessions) as box:
        async with tended(box) as (there, more):
            assert len(there.conversation.carriers) == 1
            await until(lambda: len(there.conversation.carriers) == carriers and (carriers > 1 or not more.possible))
            await still_exact(there)
            assert len(there.conversation.carriers) == carriers


async def test_one_that_is_lost_is_made_again_and_either_may_be(box: Box) -> None:
    async with tended(box) as (there, _):
        for lost in (0, 1, 0):
            await until(lambda: len(there.conversation.carriers) == 2)
            before = there.conversation.carriers
            there.conversation.keep_only([before[1 - lost]])
            await still_exact(there)
        await until(lambda: len(there.conversation.carriers) == 2)
        assert box.logins() == 1


async def test_nothing_is_made_once_the_link_is_gone(box: Box) -> None:
    async with tended(box) as (there, _):
        await until(lambda: len(there.conversation.carriers) == 2)
        box.cut()
        await there.link.wait_lost()
        await until(lambda: not there.conversation.carriers)
        assert box.logins() == 1, "without any carrier it is not its work"


@pytest.mark.lab
@pytest.mark.parametrize(("delay", "distant", "carriers"), [(0, 0.5, 1), (20, DISTANT, 2)])
async def test_a_second_one_is_made_only_over_a_distance(delay: int, distant: float, carriers: int, lab: Lab) -> None:
    box = LabBox(lab)
    with lab.network.delay(delay):
        async with tended(box, distant) as (there, more):
            await until(lambda: len(there.conversation.carriers) == 2 or not more.possible)
            assert len(there.conversation.carriers) == carriers
    assert_nothing_left(box)
