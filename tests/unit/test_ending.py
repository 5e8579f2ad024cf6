"""Ending processes, and what cannot be ended."""

from __future__ import annotations

import signal
import subprocess
import time
from itertools import pairwise

import pytest

from simmate_remote.keeper.host import ending
from simmate_remote.keeper.host.ending import end_all


@pytest.fixture(autouse=True)
def children_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to them to hear of their children's ends; whoever calls this has none but those."""
    monkeypatch.setattr(ending, "reap", lambda: None)


def test_who_ignores_that_it_was_asked_is_made_to() -> None:
    stubborn = "trap '' TERM; echo; while :; do sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", stubborn], stdout=subprocess.PIPE) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == b"\n"
        end_all(lambda: [it.pid] if it.poll() is None else [], 0.2)
        assert it.returncode == -signal.SIGKILL


def test_what_nothing_ends_is_looked_at_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "LONGEST_POLL", 0.1)
    looks: list[float] = []
    nobody = 2**22 + 1  # no process has such a number: as one whose signals are of no effect

    def find() -> list[int]:
        looks.append(time.monotonic())
        return [nobody] if len(looks) < 8 else []

    end_all(find, 0.0)
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert pauses[-1] >= 0.1
    assert sum(pauses) >= 0.02 + 0.04 + 0.08 + 4 * 0.1
