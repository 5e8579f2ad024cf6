"""Runs on a host, from this side: rows that come by themselves, and what commands do with a run where it is."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote.inventory import load_host
from tests.boxes import Box
from tests.command_lines import User, connected
from tests.hosts import session_pid, wait_until

CODE = """
from simmate_remote import workflow
from simmate_remote.workflows.current import current

@workflow
def add(a: int, b: int = 2) -> int:
    if a < 0:
        raise ValueError("less than\\\\nnothing")
    return a + b

@workflow
def wait(name: str, seconds: float = 60.0) -> str:
    one = current()
    (one.folder / f"{name}.out").write_text(name * 3)
    (one.folder / "scratch").write_text("x")
    print("begun", flush=True)
    one.cancelled.wait(seconds)
    return name
"""


@pytest.fixture
def user(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """Give a user who is connected to a host, of each kind in turn."""
    with connected(tmp_path, box, CODE, monkeypatch) as user:
        yield user


@pytest.mark.slow_in_the_lab
def test_rows_come_by_themselves_and_coming_back_tells_of_them(user: User) -> None:
    user("run", "work.py:add", "a=1", "--on", "lab-box", "--detach")
    user("run", "work.py:add", "a=-1", "--on", "lab-box", "--detach")
    user.until(lambda runs: [run["state"] for run in runs] == ["failed", "finished"])
    told = user("connect", "lab-box")
    assert "1 finished, 1 failed" in told
    assert "failed: add" in told
    assert "nothing" in told
    assert "1 finished" not in user("connect", "lab-box")
    failed, finished = user.runs()
    assert (failed["state"], failed["error_type"], failed["host"]) == ("failed", "ValueError", "lab-box")
    assert (finished["state"], finished["result"], finished["parameters"]["a"]) == ("finished", 3, 1)
    # The session that kept them is killed; what it had not told is found by the next one.
    run = user("run", "work.py:wait", "name=x", "seconds=0.5", "--on", "lab-box", "--detach").split()[0]
    os.kill(session_pid(load_host("lab-box")), signal.SIGKILL)
    user("connect", "lab-box")
    assert user.until(lambda runs: runs[0]["state"] == "finished")["id"] == run


@pytest.mark.timeout(300)  # some twenty commands, one after the other
@pytest.mark.slow
def test_what_is_done_with_a_run_where_it_is(user: User) -> None:
    run = user("run", "work.py:wait", "name=x", "--on", "lab-box", "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "running")
    wait_until(lambda: user("runs", "logs", run[-8:]) == "begun\n", 20, "what it prints")
    assert {line.split()[1] for line in user("runs", "files", run).splitlines()[1:]} == {"x.out", "scratch"}
    user("runs", "files", run, "--get", "*.out")
    assert [path.name for path in (user.folder / f"run-{run[-8:]}").iterdir()] == ["x.out"]
    user("runs", "restart", run, code=1)
    assert "has not ended: it is running" in user.told
    assert f"simmate-remote runs attach {run[-8:]}" in user.told
    assert f"simmate-remote runs cancel {run[-8:]}" in user.told
    assert json.loads(user("runs", "cancel", run, "--json")) == {run: "cancelled"}
    user.until(lambda runs: runs[0]["state"] == "cancelled")
    user("runs", "restart", run, "seconds=0.1", "name=again")
    again = user.until(lambda runs: runs[0]["state"] == "finished")
    assert (again["restarted_from"], again["result"], again["parameters"]["name"]) == (run, "again", "again")
    assert "again" in user("runs", "attach", again["id"])
    user("runs", "restart", run)
    user.until(lambda runs: runs[1]["state"] == "running" and runs[1]["attempts"] == 2)
    user("runs", "cancel", run)
    user.until(lambda runs: runs[1]["state"] == "cancelled")
    user("runs", "remove", run)
    user.until(lambda runs: [each["id"] for each in runs] == [again["id"]])


@pytest.mark.timeout(300)  # some twenty commands, one after the other
@pytest.mark.slow
def test_many_runs_are_acted_on_by_what_they_have_in_common(user: User) -> None:
    for number in (-3, -2, -1):
        user("run", "work.py:add", f"a={number}", "--on", "lab-box", "--detach")
    user.until(lambda runs: [run["state"] for run in runs] == ["failed"] * 3)
    user("runs", "remove", "--failed", "--workflow", "add", code=1)
    assert "whether 3 runs shall be removed can be asked in a terminal only" in user.told
    again = json.loads(user("runs", "restart", "--workflow", "add", "a=4", "--yes", "--json"))
    assert len(again) == len(set(again.values()) - set(again)) == 3
    user.until(lambda runs: [run["state"] for run in runs] == ["finished"] * 3 + ["failed"] * 3)
    waiting = {user("run", "work.py:wait", f"name={each}", "--on", "lab-box", "--detach").split()[0] for each in "xyz"}
    assert json.loads(user("runs", "cancel", "--on", "lab-box", "--yes", "--json")).keys() == waiting
    user.until(lambda runs: [run["state"] for run in runs[:3]] == ["cancelled"] * 3)
    assert set(json.loads(user("runs", "remove", "--failed", "--yes", "--json"))) == set(again)
    # Neither what has finished nor what was cancelled: only what was asked for.
    user.until(lambda runs: [run["state"] for run in runs] == ["cancelled"] * 3 + ["finished"] * 3)
    assert json.loads(user("runs", "restart", "--failed", "--yes", "--json")) == {}
    assert "no such run to restart" in user.told


@pytest.mark.slow
def test_a_cancel_while_nothing_is_connected_is_delivered_later(user: User) -> None:
    run = user("run", "work.py:wait", "name=x", "--on", "lab-box", "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "running")
    user("disconnect", "lab-box")
    user("runs", "cancel", run)
    assert "cannot be reached now" in user.told
    assert "to be cancelled" in user("runs")
    user("connect", "lab-box")
    user.until(lambda runs: runs[0]["state"] == "cancelled")


@pytest.mark.slow
def test_a_run_whose_folder_was_removed_is_lost_and_can_be_forgotten(user: User) -> None:
    run = user("run", "work.py:wait", "name=x", "--on", "lab-box", "--detach").split()[0]
    user.until(lambda runs: runs[0]["state"] == "running")
    user("disconnect", "lab-box", "--stop")
    user.box.run(f"rm -r ~/simmate-remote/runs/{run}")
    user("connect", "lab-box")
    user.until(lambda runs: runs[0]["state"] == "lost")
    user("runs", "remove", run)
    assert user.runs() == []
