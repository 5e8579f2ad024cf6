"""Ids of runs: UUIDs of version 7, in the order in which they were made."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from simmate_remote.runs import identity
from simmate_remote.runs.identity import is_id, new_id, time_of


def test_ids_are_uuids_of_version_7_and_tell_their_time() -> None:
    before = time.time()
    made = uuid.UUID(new_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before - 0.001 <= time_of(str(made)) <= time.time() + 0.001


def test_ids_of_one_process_are_in_the_order_of_their_making_and_none_is_made_twice() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda own=own: own.extend(new_id() for _ in range(5000)))  # type: ignore[misc]
        for own in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in made)
    assert len({each for own in made for each in own}) == 20_000


def test_a_clock_that_is_set_back_does_not_undo_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    earlier = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(identity.time, "time_ns", lambda: earlier)
    assert new_id() > before


@pytest.mark.parametrize(
    "text",
    ["", "..", "a/b", str(uuid.uuid4()), new_id().upper(), new_id() + "\n"],
    ids=["empty", "parent", "path", "random", "upper", "line"],
)
def test_nothing_else_is_an_id(text: str) -> None:
    assert not is_id(text)
    assert is_id(new_id())
