"""Runs whose database moves to another machine: all is there as before, and the host's news go on where they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.testing import EmbeddedHost
from tests.boxes import EmbeddedBox, assert_nothing_left
from tests.carried import CONVERGE, WAIT
from tests.command_lines import User, connected
from tests.databases import end_database
from tests.hosts import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CODE = (
    WAIT
    + CONVERGE
    + """
@workflow
def halve(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2
"""
)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """Give a user who is connected to a host."""
    with EmbeddedHost() as host:
        box = EmbeddedBox(host)
        with connected(tmp_path, box, CODE, monkeypatch) as user:
            yield user
        assert_nothing_left(box)


@pytest.fixture
def machines(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Give two machines of the user: the one that they are at now, and another where there is nothing."""
    yield Machines(user_folders, monkeypatch)
    end_database(user_folders / "data2")


class Machines:
    """The user's machines, as far as this program knows: their folders.

    Args:
        folder: Has the first one's.
        patch: Changes the environment.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = patch

    def go_to(self, number: int) -> None:
        """Sit down at the first, or at the second."""
        for variable, name in {"XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run"}.items():
            place = self._folder / (name if number == 1 else f"{name}{number}")
            place.mkdir(mode=0o700, exist_ok=True)
            self._patch.setenv(variable, str(place))


def all_of(user: User) -> list[dict[str, Any]]:
    """Give all that is known of all runs: parameters, results, attempts, corrections, times."""
    return [json.loads(user("runs", "show", run["id"], "--json")) for run in user.runs()]


def test_a_restored_database_has_all_runs_and_catches_up_with_the_host(user: User, machines: Machines) -> None:
    user("run", "work.py:halve", "number=8")
    user("run", "work.py:converge", "--on", user.host)
    user("run", "work.py:halve", "number=3", "--on", user.host, code=1)
    waits = user("run", "work.py:wait", "--on", user.host, "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "running")
    user("database", "backup", "kept")
    kept, listed = all_of(user), user.runs()
    assert [run["state"] for run in kept] == ["running", "failed", "finished", "finished"]
    assert [len(run["all_corrections"]) for run in kept] == [0, 0, 2, 0]

    # Afterwards more happens, of which the backup knows nothing.
    user.box.run(f"touch ~/simmate-remote/runs/{waits}/files/go")
    user("runs", "restart", kept[1]["id"])
    user("run", "work.py:converge", "--on", user.host)
    user.until(
        lambda runs: [run["state"] for run in runs] == ["finished", "finished", "failed", "finished", "finished"]
    )
    user.until(lambda runs: runs[2]["attempts"] == 2)
    at_first = all_of(user)
    user("disconnect", user.host)

    machines.go_to(2)
    user("database", "restore", "kept")
    assert user.runs() == listed
    assert all_of(user) == kept
    user("connect", user.host)
    user.until(lambda runs: len(runs) == 5 and runs[2]["attempts"] == 2)
    assert all_of(user) == at_first
    assert user("run", "work.py:halve", "number=12", "--on", user.host).split()[-1] == "6"
    user.until(lambda runs: len(runs) == 6 and runs[0]["state"] == "finished")
    at_second = all_of(user)
    user("disconnect", user.host)

    # And back: the first machine's own database is now the older one.
    machines.go_to(1)
    user("connect", user.host)
    wait_until(lambda: len(user.runs()) == 6, 20, "what the other machine has begun is here, too")
    assert all_of(user) == at_second
