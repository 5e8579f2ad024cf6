"""What a session says of its way: steps, states and outages, to listeners that come at any time."""

from __future__ import annotations

import asyncio
import time

import pytest

from simmate_remote.errors import LinkLostError, SessionStoppedError
from simmate_remote.session.state import Progress, State, change_in_words

PATIENCE = 5.0


async def collect(progress: Progress) -> list[str]:
    return [step async for step in progress.follow()]


async def test_a_listener_that_comes_late_hears_all_steps_and_one_that_is_too_late_none() -> None:
    progress = Progress("lab-box")
    progress.step("logging in")
    early = asyncio.create_task(collect(progress))
    await asyncio.sleep(0)
    progress.step("starting")
    progress.enter(State.CONNECTED)
    assert await asyncio.wait_for(early, PATIENCE) == ["logging in", "starting"]
    assert await asyncio.wait_for(collect(progress), PATIENCE) == []


async def test_whoever_joins_during_an_outage_hears_of_that_alone() -> None:
    progress = Progress("lab-box")
    progress.step("logging in")
    progress.enter(State.CONNECTED)
    progress.went_out(LinkLostError("the link was lost"))
    progress.step("trying again")
    progress.step("trying again")
    joined = asyncio.create_task(collect(progress))
    await asyncio.sleep(0)
    progress.came_back()
    assert await asyncio.wait_for(joined, PATIENCE) == ["trying again"]
    assert progress.error is None
    (outage,) = progress.describe()["outages"]
    assert outage["reason"] == "the link was lost"
    assert outage["ended"] >= outage["began"]


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
async def test_how_long_an_outage_was_does_not_depend_on_the_clock_that_is_corrected_meanwhile(
    step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress("lab-box")
    progress.went_out(LinkLostError("the link was lost"))
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + step)
    progress.came_back()
    (outage,) = progress.describe()["outages"]
    assert 0 <= outage["ended"] - outage["began"] < PATIENCE
    assert abs(outage["ended"] - time.time()) < PATIENCE
    assert 0 <= progress.take_away()["seconds"] < PATIENCE
    assert change_in_words(progress.describe(), None) == "connected again after 0 s; nothing was lost"


async def test_steps_without_end_are_kept_in_bounds_and_told_as_far_as_they_are_kept() -> None:
    progress = Progress("lab-box")
    for number in range(1000):
        progress.step(f"attempt {number}")
    listening = asyncio.create_task(collect(progress))
    await asyncio.sleep(0)
    progress.enter(State.CONNECTED)
    told = await asyncio.wait_for(listening, PATIENCE)
    assert told == [f"attempt {number}" for number in range(800, 1000)]


async def test_changes_are_told_in_order_and_end_with_the_reason() -> None:
    progress = Progress("lab-box")
    progress.enter(State.CONNECTED)
    states: asyncio.Queue[str] = asyncio.Queue()

    async def watch() -> None:
        async for report in progress.changes():
            states.put_nowait(report["state"])

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    progress.went_out(LinkLostError("the link was lost"))
    await asyncio.sleep(0)
    progress.came_back()
    await asyncio.sleep(0)
    progress.enter(State.STOPPED, SessionStoppedError("over"))
    with pytest.raises(SessionStoppedError, match="over"):
        await asyncio.wait_for(watching, PATIENCE)
    assert [states.get_nowait() for _ in range(states.qsize())] == ["reconnecting", "connected"]


def test_changes_in_words_say_since_when_and_what_to_type() -> None:
    progress = Progress("lab-box")
    progress.went_out(LinkLostError("the link was lost"))
    lost = progress.describe()
    assert "the link was lost; work there goes on" in change_in_words(lost, None)
    progress.enter(State.WAITING, LinkLostError("a code is needed"))
    waiting = progress.describe()
    assert change_in_words(waiting, lost).endswith("a code is needed; type: simmate-remote connect lab-box")
    progress.enter(State.RECONNECTING)
    assert change_in_words(progress.describe(), waiting).startswith("trying again")
    progress.came_back()
    assert change_in_words(progress.describe(), waiting) == "connected again after 0 s; nothing was lost"
