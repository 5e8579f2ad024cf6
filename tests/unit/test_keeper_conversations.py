"""Conversations, the journal and the lease of a keeper, without a host."""

from __future__ import annotations

import asyncio
import time

import pytest

from simmate_remote.keeper.host.conversations import MAX_GRAVES, Conversations
from simmate_remote.keeper.host.journal import ENTRIES, Journal, Work
from simmate_remote.keeper.host.lease import VISITOR, Lease, in_words
from simmate_remote.streams.conversation import CarrierEnd, refuse_all


class Wire(CarrierEnd):
    """A carrier that takes everything and is lost when it is told to be."""

    full = False
    suspect = False

    def send(self, frames: list[bytes | memoryview]) -> None:
        pass

    def abort(self) -> None:
        pass


class Kept:
    """Conversations, and what they told."""

    def __init__(self, patience: float = 1000.0) -> None:
        self.notes: list[str] = []
        self.noted = asyncio.Event()
        self.conversations = Conversations(refuse_all, patience, lambda: None, self.note)

    def note(self, what: str) -> None:
        self.notes.append(what)
        self.noted.set()

    def begin(self, token: str, owner: str, origin: str = "192.0.2.1") -> None:
        self.conversations.begin(token, owner, origin).attach(1, Wire())

    def lose(self, token: str) -> None:
        found = self.conversations.find(token, "")
        assert found is not None
        for number in found.carriers:
            found.lose(number)

    async def until(self, text: str) -> None:
        async with asyncio.timeout(10):
            while not any(text in note for note in self.notes):
                self.noted.clear()
                await self.noted.wait()


async def test_one_that_is_lost_for_longer_than_the_patience_ends_and_says_why() -> None:
    kept = Kept(patience=0.01)
    kept.begin("a", "mine")
    kept.lose("a")
    await kept.until("was ended: no connection for 0.01 s")
    ended = kept.conversations.find("a", "")
    assert ended is not None
    assert ended.ended == "no connection for 0.01 s"
    assert kept.conversations.describe() == []


async def test_one_that_comes_back_in_time_stays() -> None:
    kept = Kept()
    kept.begin("a", "mine")
    kept.lose("a")
    assert kept.conversations.describe()[0]["lost_since"] is not None
    found = kept.conversations.find("a", "192.0.2.9")
    assert found is not None
    found.attach(2, Wire())
    assert kept.conversations.describe()[0] == {**kept.conversations.describe()[0], "from": "192.0.2.9", "carriers": 1}
    kept.conversations.be_patient(0.001)
    kept.lose("a")
    await kept.until("was ended")
    assert kept.notes[0] == "a session from 192.0.2.1 lost its connection"
    assert any("came back after" in note for note in kept.notes)


async def test_another_length_counts_for_those_that_are_lost_already() -> None:
    kept = Kept()
    kept.begin("a", "mine")
    kept.lose("a")
    kept.conversations.be_patient(0.001)
    await kept.until("was ended")


async def test_only_lost_ones_of_the_owner_are_forgotten() -> None:
    kept = Kept()
    for token, owner in (("a", "mine"), ("b", "mine"), ("c", "other")):
        kept.begin(token, owner)
    kept.lose("a")
    kept.lose("c")
    assert kept.conversations.forget_lost("mine") == 1
    assert [each["owner"] for each in kept.conversations.describe()] == ["mine", "other"]
    assert kept.conversations.forget_lost("mine") == 0


async def test_a_visitor_does_not_count_and_is_forgotten_at_once() -> None:
    kept = Kept()
    kept.begin("v", VISITOR)
    assert kept.conversations.attached == 0
    assert kept.conversations.describe() == []
    kept.lose("v")
    assert kept.conversations.find("v", "") is None
    assert kept.notes == []


async def test_what_is_kept_of_those_that_ended_is_bounded() -> None:
    kept = Kept()
    for number in range(2 * MAX_GRAVES):
        kept.begin(f"token-{number}", "mine")
        kept.lose(f"token-{number}")
        kept.conversations.forget_lost("mine")
    known = [kept.conversations.find(f"token-{number}", "") is not None for number in range(2 * MAX_GRAVES)]
    assert known == [False] * MAX_GRAVES + [True] * MAX_GRAVES


def test_the_journal_tells_what_happened_while_nobody_was_there() -> None:
    journal = Journal()
    assert journal.describe(Work(1, 2, 3))["alone_since"] is None
    journal.add("before")
    journal.left_alone(Work(5, 10, 1))
    journal.add("worker-0 died")
    assert journal.describe(Work(2, 13, 1))["finished"] == 3
    journal.visited(Work(1, 14, 2))
    about = journal.describe(Work(0, 20, 9))
    assert [event["what"] for event in about["events"]] == ["worker-0 died"]
    assert (about["finished"], about["erred"]) == (4, 1)
    assert about["alone_since"] <= about["alone_until"]


def test_the_journal_is_bounded() -> None:
    journal = Journal()
    journal.left_alone(Work())
    for number in range(3 * ENTRIES):
        journal.add(f"{number}")
    events = journal.describe(Work())["events"]
    assert len(events) == ENTRIES
    assert events[-1]["what"] == f"{3 * ENTRIES - 1}"


async def test_the_lease_says_when_it_ends_unless_it_is_held() -> None:
    lease = Lease(1000.0, lambda: None)
    assert lease.ends is not None
    lease.hold(True)
    assert lease.ends is None
    lease.renew(2000.0)
    assert lease.ends is None
    lease.hold(False)
    assert lease.ends is not None


@pytest.mark.parametrize(
    ("seconds", "words"), [(43200, "12 h"), (0.2, "0.2 s"), (90, "1.5 min"), (172800, "2 d"), (59, "59 s")]
)
def test_a_length_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


async def test_a_clock_that_is_set_changes_when_the_lease_is_said_to_end_and_not_when_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = asyncio.Event()
    lease = Lease(1000.0, lambda: None)
    short = Lease(0.05, ended.set)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() - 86_400)
    assert lease.ends is not None
    assert 990 < lease.ends - time.time() <= 1000
    await asyncio.wait_for(ended.wait(), 10)
    assert short.ends is not None
    lease.hold(held=True)
    assert lease.ends is None


async def test_how_long_a_near_end_was_away_does_not_depend_on_a_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Kept()
    kept.begin("a", "mine")
    kept.lose("a")
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() - 86_400)
    found = kept.conversations.find("a", "")
    assert found is not None
    found.attach(2, Wire())
    assert "a session from 192.0.2.1 came back after 0 s" in kept.notes
    kept.conversations.forget_lost("mine")
    kept.lose("a")
    kept.conversations.forget_lost("mine")
