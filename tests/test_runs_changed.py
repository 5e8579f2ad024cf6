"""``runs restart NAME=VALUE`` on a host: a new run with other values, however large what stays is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote.testing import EmbeddedHost
from tests.boxes import EmbeddedBox, assert_nothing_left
from tests.users import Typist

CODE = """
from pathlib import Path
from simmate_remote import workflow

@workflow
def measure(name: str, file: Path, times: int = 1) -> list:
    if times < 2:
        raise ValueError("once is not enough")
    return [len(name) * times, file.name, file.stat().st_size]
"""

BOXES = """
from dataclasses import dataclass
from simmate_remote import workflow

print("boxes are imported")

@dataclass
class Box:
    side: int

@workflow
def make(box: Box, times: int = 2) -> Box:
    return Box(box.side * times)
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typist]:
    """Give a user who is connected to an embedded host."""
    with EmbeddedHost() as host:
        box = EmbeddedBox(host)
        box.inventory(tmp_path / "hosts")
        monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
        monkeypatch.setenv("COLUMNS", "200")
        (tmp_path / "work.py").write_text(CODE)
        user = Typist(tmp_path)
        user("connect", "lab-box")
        yield user
        user("disconnect", "lab-box", "--stop")
        assert_nothing_left(box)


@pytest.mark.slow
def test_parameters_of_any_size_can_be_changed(user: Typist) -> None:
    (user.folder / "long.yaml").write_text(f"name: {'x' * 100}\n")
    (user.folder / "large.dat").write_bytes(b"0" * 3_000_000)
    (user.folder / "small.dat").write_bytes(b"0" * 3)
    user("run", "work.py:measure", "--parameters", "long.yaml", "file=large.dat", "--on", "lab-box", code=1)
    failed = user.until(lambda runs: runs[0]["state"] == "failed")
    user("runs")
    assert "failed" not in user.told  # the command itself has shown it
    user("runs", "restart", failed["id"], "times=2")
    again = user.until(lambda runs: runs[0]["state"] == "finished")
    assert (again["restarted_from"], again["result"]) == (failed["id"], [200, "large.dat", 3_000_000])
    user("runs")
    assert "1 finished" in user.told
    user("runs", "restart", failed["id"], "file=nowhere.dat", code=1)
    assert "nowhere.dat is given as a file, and cannot be read" in user.told
    # What has shrunk, and what has grown, travels as it needs to.
    user("runs", "restart", again["id"], "file=small.dat")
    small = user.until(lambda runs: runs[0]["id"] != again["id"] and runs[0]["state"] == "finished")
    assert small["result"] == [200, "small.dat", 3]
    assert small["parameters"]["file"] == "small.dat"
    user("runs", "restart", small["id"], "file=large.dat")
    large = user.until(lambda runs: runs[0]["id"] != small["id"] and runs[0]["state"] == "finished")
    assert large["result"] == [200, "large.dat", 3_000_000]


@pytest.mark.slow
def test_a_name_that_the_workflow_does_not_take_is_refused_here(user: Typist) -> None:
    (user.folder / "small.dat").touch()
    user("run", "work.py:measure", "name=a", "file=small.dat", "--on", "lab-box", code=1)
    failed = user.until(lambda runs: runs[0]["state"] == "failed")
    (user.folder / "work.py").unlink()
    user("runs", "restart", failed["id"], "time=2", code=1)
    assert "measure has no parameter 'time'; did you mean times" in user.told
    assert [run["id"] for run in user.runs()] == [failed["id"]]


@pytest.mark.slow
def test_what_code_of_the_users_own_prints_is_not_in_the_document(
    user: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(user.folder))
    (user.folder / "boxes.py").write_text(BOXES)
    made = json.loads(user("run", "boxes.py:make", "box={side: 2}", "--on", "lab-box", "--json"))
    assert made["result"] == {"side": 4}
    run = user.until(lambda runs: runs[0]["state"] == "finished")["id"]
    assert json.loads(user("runs", "attach", run, "--json"))["result"] == {"side": 4}
    assert "boxes are imported" in user.told
    again = json.loads(user("runs", "restart", run, "box={side: 3}", "--json", code=1))
    assert "a Box is needed" in again["what"]
    assert "boxes are imported" in user.told
    again = json.loads(user("runs", "restart", run, "times=3", "--json"))
    assert "boxes are imported" in user.told
    assert user.until(lambda runs: runs[0]["state"] == "finished")["id"] == again["id"]


@pytest.mark.slow
def test_blobs_that_are_gone_are_said_to_be(user: Typist) -> None:
    (user.folder / "large.dat").write_bytes(b"0" * 1_000_000)
    user("run", "work.py:measure", "name=a", "file=large.dat", "--on", "lab-box", code=1)
    failed = user.until(lambda runs: runs[0]["state"] == "failed")
    for blob in (Path(failed["folder"]).parent / "blobs").iterdir():
        blob.unlink()
    user("runs", "restart", failed["id"], "times=2", code=1)
    assert "what runs share is gone" in user.told
