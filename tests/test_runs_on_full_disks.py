"""Runs on a host whose disk is full: what is new is refused, and what is there loses nothing, whichever way it goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.inventory import load_host
from simmate_remote.session.desk import Desk
from tests.boxes import assert_nothing_left
from tests.command_lines import User, connected
from tests.hosts import wait_until
from tests.lab import Lab
from tests.lab.environments import PACKAGES, same_as_here
from tests.lab_boxes import AccountBox

pytestmark = pytest.mark.lab

SIZE = "48m"
CODE = """
from simmate_remote import workflow
from simmate_remote.workflows.current import current

@workflow
def add(a: int, b: int = 2) -> int:
    return a + b

@workflow
def wait(size: int = 0) -> object:
    one = current()
    number = len(list(one.folder.glob("began-*")))
    (one.folder / f"began-{number}").touch()
    while not (one.folder / "go").exists():
        if one.cancelled.wait(0.02):
            return "cancelled"
    return bytes(size) if size else number
"""

PROGRAM = """
from simmate_remote import workflow
from simmate_remote.workflows import Resources, ShellTask

@workflow
def talk() -> None:
    script = "cat /dev/zero & cat /dev/zero >&2; wait; exit 1"
    ShellTask(command=("sh", "-c", script), resources=Resources(shared=True)).run()
"""

numbers = count(1)


@pytest.fixture
def user(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """Give a user whose home on the host is a disk of its own, a small one."""
    box = AccountBox.of(lab, f"runs-disk-{next(numbers)}")
    home, uid = box.home, lab.accounts[box.account].uid
    lab.run("root", f"mkdir -p /tmp/kept && cp -a {home}/. /tmp/kept/")
    lab.run("root", f"mount -t tmpfs -o size={SIZE},uid={uid},mode=0700 tmpfs {home} && cp -a /tmp/kept/. {home}/")
    with (lab.inventory / f"{box.alias}.yaml").open("a") as file:
        file.write("workers: {count: 2, threads: 1}\n")
    try:
        with connected(tmp_path, box, CODE, monkeypatch) as user:
            yield user
            free(user)
        assert_nothing_left(box)
    finally:
        lab.run("root", f"rm -r /tmp/kept; umount -l {home}")


def fill(user: User) -> None:
    """Let there be no byte of space any more."""
    user.box.run("cat /dev/zero > filler")


def free(user: User) -> None:
    """Let there be space again."""
    user.box.run("rm -f filler")


def submit(user: User, *words: str) -> str:
    return user("run", *words, "--on", user.host, "--detach").split()[0]


def began(user: User, run: str) -> bool:
    return user.box.run(f"test -e ~/simmate-remote/runs/{run}/files/began-0").returncode == 0


def go(user: User, run: str) -> None:
    # Neither the file nor its name takes space of this file system.
    assert user.box.run(f"touch ~/simmate-remote/runs/{run}/files/go").returncode == 0


def events(user: User, run: str) -> list[str]:
    """List what the journal tells of a run."""
    lines = map(json.loads, user.box.run("cat ~/simmate-remote/runs/journal").stdout.splitlines())
    return [line["event"] for line in lines if line.get("run") == run]


def waits_for_space(user: User, run: str) -> bool:
    """Say whether the host tells whoever watches the run that it waits."""
    desk = Desk(load_host(user.host))
    desk.open(start=False)
    try:
        status: dict[str, Any] = desk.call("status", ids=[run])[run]
    finally:
        desk.close()
    return "waits for space" in status.get("text", "")


@pytest.mark.slow
def test_what_is_new_is_refused_and_nothing_of_it_is_taken(user: User) -> None:
    first = submit(user, "work.py:add", "a=1")
    user.until(lambda runs: runs[0]["state"] == "finished")
    fill(user)
    # A function with the code that is there, and one with other code, which has to be brought first.
    (user.folder / "other.py").write_text(f"{CODE}\nTEXT = '{'x' * 100_000}'\n")
    for program in ("work.py:add", "other.py:add"):
        user("run", program, "a=2", "--on", user.host, "--detach", code=1)
        assert f"{user.host}: there is no space, or no quota, in the folder of runs, " in user.told
        assert f"{user.box.home}/simmate-remote/runs" in user.told
        assert "nothing was taken" in user.told
        assert f"simmate-remote doctor {user.host}" in user.told
        assert f"simmate-remote runs list --on {user.host}" in user.told
    assert [run["id"] for run in user.runs()] == [first]
    names = user.box.run("ls -A ~/simmate-remote/runs ~/simmate-remote/runs/blobs").stdout.split()
    assert first in names
    assert not [name for name in names if name.count("-") == 4 and name != first]
    assert not [name for name in names if name.endswith(".arriving")]
    free(user)
    assert user("run", "other.py:add", "a=2", "--on", user.host).split()[-1] == "4"


@pytest.mark.slow
def test_outcomes_wait_for_space_and_are_right(user: User) -> None:
    small, large = submit(user, "work.py:wait"), submit(user, "work.py:wait", "size=1000000")
    wait_until(lambda: began(user, small) and began(user, large), 20, "both began")
    queued = submit(user, "work.py:wait")
    fill(user)
    for run in (small, large):
        go(user, run)
    for run in (small, large):
        wait_until(lambda: waits_for_space(user, run), 20, "it waits, and says so")  # noqa: B023
    assert user.box.run(f"ls ~/simmate-remote/runs/{small}/outcome.json").returncode != 0
    free(user)
    wait_until(lambda: began(user, queued), 20, "what was queued begins")
    go(user, queued)
    user.until(lambda runs: {each["state"] for each in runs} == {"finished"})
    found = {run["id"]: run for run in user.runs()}
    assert {found[run]["result"] for run in (small, queued)} == {0}
    assert found[large]["result_size"] > 1_000_000
    for run in (small, large, queued):
        assert found[run]["attempts"] == 1
        assert events(user, run) == ["created", "started", "finished"]


@pytest.mark.slow
def test_what_is_to_begin_waits_for_space_too(user: User) -> None:
    busy = [submit(user, "work.py:wait") for _ in range(2)]
    wait_until(lambda: all(began(user, run) for run in busy), 20, "both workers are busy")
    queued = submit(user, "work.py:wait")
    fill(user)
    # It is ended although the disk takes nothing: it may be what has filled the disk.
    assert json.loads(user("runs", "cancel", busy[0], "--json")) == {busy[0]: "cancelled"}
    wait_until(lambda: waits_for_space(user, queued), 20, "the next one waits for space")
    free(user)
    wait_until(lambda: began(user, queued), 20, "it began")
    for run in (busy[1], queued):
        go(user, run)
    user.until(lambda runs: sorted(each["state"] for each in runs) == ["cancelled", "finished", "finished"])
    assert events(user, queued) == ["created", "started", "finished"]
    assert events(user, busy[0]) == ["created", "started", "cancelled"]


@pytest.mark.timeout(300)  # the lab's environment, in which tasks can run, is made by the first test that needs it
@pytest.mark.slow
def test_a_program_that_fills_the_disk_has_failed_by_that(user: User, lab: Lab) -> None:
    python = lab.environment(*same_as_here([*PACKAGES, "pydantic", "platformdirs", "PyYAML"]))
    user("disconnect", user.host, "--stop")
    file = user.folder / "hosts" / f"{user.host}.yaml"
    file.write_text(file.read_text().replace(str(lab.python), str(python)))
    user("connect", user.host)
    (user.folder / "program.py").write_text(PROGRAM)
    user.box.run("head -c 1000000 /dev/zero > filler")
    run = submit(user, "program.py:talk")
    wait_until(lambda: waits_for_space(user, run), 40, "its outcome waits for space")
    assert not [words for _, words in user.box.processes() if "/dev/zero" in words]
    free(user)
    user.until(lambda runs: runs[0]["state"] == "failed")
    (failed,) = user.runs()
    assert (failed["error_type"], failed["attempts"]) == ("FolderFullError", 1)
    assert "no space left" in failed["error"].lower()
    assert f"simmate-remote/runs/{run}/files" in failed["error"]
    assert events(user, run) == ["created", "started", "failed"]
