"""Runs on a host whose clock is an hour off: what is said of them here is by the clock here."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.boxes import assert_nothing_left
from tests.carried import CONVERGE, WAIT
from tests.command_lines import User, connected
from tests.hosts import wait_until
from tests.lab import Lab
from tests.lab.environments import PACKAGES, same_as_here
from tests.lab_boxes import AccountBox

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HOUR = 3600
NEWS = re.compile(r"since [0-9:]+( \(\d+ s\))?: 1 finished")
CODE = (
    WAIT
    + """
@workflow
def nothing() -> None:
    pass
"""
)

Connect = Callable[..., AbstractContextManager[User]]

numbers = count(1)


SLOW = 100.0
"""Seconds for what runs by another clock: each question for the time goes through a library that changes it."""

ANSWER = 2.0
"""Seconds that a question and its answer may take there, of an hour."""


@pytest.fixture
def user_by(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Give what gives a user whose host's clock is wrong."""
    box = AccountBox.of(lab, f"runs-clock-{next(numbers)}")

    @contextlib.contextmanager
    def connect(offset: int, code: str, python: str | None = None) -> Iterator[User]:
        file = lab.inventory / f"{box.alias}.yaml"
        file.write_text(file.read_text().replace(box.python, python or box.python))
        with lab.clock(offset), connected(tmp_path, box, code, monkeypatch) as user:
            yield user

    yield connect
    assert_nothing_left(box)


@pytest.mark.slow
@pytest.mark.timeout(250)
@pytest.mark.parametrize("offset", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_what_is_said_of_runs_is_by_the_clock_here(user_by: Connect, offset: int) -> None:
    with user_by(offset, CODE) as user:
        see_all_by_the_clock_here(user)


def see_all_by_the_clock_here(user: User) -> None:
    before = time.time()
    first = user("run", "work.py:nothing", "--on", user.host, "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "finished", SLOW)
    second = user("run", "work.py:wait", "--on", user.host, "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "running", SLOW)
    shown = next(line for line in user("runs").splitlines() if second[-8:] in line)
    assert NEWS.search(user.told)
    assert " min" not in shown  # how long it has been running
    assert " h" not in shown
    # An error that the host tells has happened now.
    user("runs", "remove", second, code=1)
    assert "has not ended" in user.told
    assert "since:" not in user.told

    # It ends while nobody is connected, and coming back tells of it, once.
    user("disconnect", user.host)
    user.box.run(f"touch ~/simmate-remote/runs/{second}/files/go")
    wait_until(lambda: user.box.run(f"test -e ~/simmate-remote/runs/{second}/outcome.json").returncode == 0, 20, "end")
    left = time.time()
    told = user("connect", user.host)
    assert NEWS.search(told)
    # How long ago the host was left and found again, and since when its processes live.
    spans = re.findall(r"(?:there|connected) since [0-9:]+ \((\d+) (s|min)\)", told)
    assert len(spans) == 3
    seconds = {"s": 1, "min": 60}
    assert all(int(number) * seconds[unit] <= left - before + 60 for number, unit in spans)  # and not an hour
    assert before - 10 <= json.loads(user("ps", user.host, "--json"))["since"] <= left
    for _ in range(2):
        assert not NEWS.search(user("connect", user.host))
    third = user("run", "work.py:nothing", "--on", user.host, "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "finished", SLOW)
    after = time.time()
    assert NEWS.search(user("connect", user.host))

    assert [run["id"] for run in user.runs()] == [third, second, first]
    assert [run["id"] for run in user.runs("--since", f"{after - before + 5:.0f} s")] == [third, second, first]
    assert user.runs("--since", "1 s") == []
    for run in (first, second, third):
        about: dict[str, Any] = json.loads(user("runs", "show", run, "--json"))
        (attempt,) = about["all_attempts"]
        moments = [before, about["created"], about["started"], about["ended"], after]
        # How far the host's clock is away is known as exactly as a question and its answer are quick.
        assert all(earlier <= later + ANSWER for earlier, later in pairwise(moments))
        assert [attempt["began"], attempt["ended"]] == [about["started"], about["ended"]]
        assert 0 < about["seconds"] < after - before
        assert about["ended"] - about["started"] == pytest.approx(about["seconds"], abs=2)


@pytest.mark.slow
@pytest.mark.timeout(300)  # the lab's environment, in which tasks can run, is made by the first test that needs it
def test_corrections_are_by_the_clock_here(user_by: Connect, lab: Lab) -> None:
    python = str(lab.environment(*same_as_here([*PACKAGES, "pydantic", "platformdirs", "PyYAML"])))
    with user_by(HOUR, CONVERGE, python) as user:
        run = user("run", "work.py:converge", "--on", user.host, "--detach").split()[0]
        user.until(lambda runs: runs[0]["state"] == "finished", SLOW)
        about = json.loads(user("runs", "show", run, "--json"))
        told = [each["told"] for each in about["all_corrections"]]
        assert len(told) == 2
        moments = [about["started"], *told, about["ended"]]
        assert moments == sorted(moments)
