"""A login that comes while the keeper ends: it waits for that, and then finds nothing, or starts afresh."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import pytest

from simmate_remote.errors import KeeperError, KeeperGoneError
from tests.boxes import Box
from tests.keepers import end, reached, record, until

pytestmark = pytest.mark.usefixtures("no_history")


@contextlib.contextmanager
def stopped(box: Box, pid: int) -> Iterator[None]:
    """Let a process do nothing for a while."""
    box.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            box.kill(pid, signal.SIGCONT)


def ends(box: Box) -> bool:
    return "ending everything" in box.run("cat ~/simmate-remote/keepers/*.log").stdout


def has_its_turn(box: Box) -> bool:
    """Say whether a login looks for the keeper, or starts one: no other may then."""
    return box.run("flock -n ~/simmate-remote/keepers/$(hostname).lock true").returncode != 0


def carriers(box: Box) -> list[int]:
    """Give the processes that have handed over their pipes, and wait."""
    return [pid for pid, argv in box.processes() if argv[0] == "simmate-remote-carrier"]


async def test_who_only_looks_hears_how_it_ended(box: Box) -> None:
    async with reached(box) as there:
        (nursery,) = (await there.keeper.call("describe"))["processes"]
    keeper = record(box)["pid"]

    async def look() -> None:
        async with reached(box, start=False):
            pass

    with stopped(box, nursery["pid"]):
        box.kill(keeper, signal.SIGTERM)
        await until(lambda: ends(box), "it begins to end")
        looking = asyncio.create_task(look())
        await until(lambda: has_its_turn(box) or looking.done(), "the second login waits")
    with pytest.raises(KeeperGoneError, match="runs there: everything on the host was ended by SIGTERM"):
        await looking


async def test_who_wants_one_starts_afresh_when_everything_has_ended(box: Box) -> None:
    async with reached(box) as there, reached(box, owner="another laptop"):
        # As long as the other laptop does not leave, it has some time to hear why.
        ending = asyncio.create_task(there.keeper.call("stop", reason="the test wants it"))
        await until(lambda: ends(box), "it begins to end")
        before = record(box)["pid"]
        async with reached(box, owner="a third") as afresh:
            assert afresh.launched.started
            assert afresh.launched.previous is not None
            assert afresh.launched.previous.text == "everything on the host was ended: the test wants it"
            assert record(box)["pid"] != before
        await ending
    await end(box)


async def test_one_that_dies_before_it_takes_a_login_is_replaced(box: Box) -> None:
    async with reached(box):
        before = record(box)["pid"]
    await until(lambda: not carriers(box), "the first login is gone")
    with stopped(box, before):

        async def log_in() -> None:
            async with reached(box) as afresh:
                assert afresh.launched.started
                assert afresh.launched.previous is not None
                assert afresh.launched.previous.kind == "died"

        coming = asyncio.create_task(log_in())
        await until(lambda: carriers(box) or coming.done(), "the second login waits to be taken")
        box.kill(before, signal.SIGKILL)
        await coming
    await end(box)


async def test_one_that_does_not_come_to_its_end_is_not_waited_for_for_ever(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simmate_remote.keeper.launch.ENDING_TIMEOUT", 0.0)
    async with reached(box) as there, reached(box, owner="another laptop"):
        ending = asyncio.create_task(there.keeper.call("stop", reason="the test wants it"))
        await until(lambda: ends(box), "it begins to end")
        with pytest.raises(KeeperError, match="it is ending: everything on the host was ended: the test wants it"):
            async with reached(box, owner="a third"):
                pass
        await ending
