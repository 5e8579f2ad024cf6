"""What becomes of runs, and of the session that they need, when the program leaves that made it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.inventory.host_file import read_host
from simmate_remote.inventory.runtime_folder import runtime_folder
from tests.boxes import Box, assert_nothing_left
from tests.durables import began, desk_of, durables, go
from tests.hosts import end_session, session_lasts, wait_until
from tests.users import PROGRAM

embedded = pytest.mark.parametrize("box", ["embedded"], indirect=True)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with durables(tmp_path, monkeypatch) as module:
        yield module


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import durables
handle = durables.wait.submit(on="lab-box")
print(handle.id, handle.folder, flush=True)
"""


@pytest.mark.slow_in_the_lab
def test_a_run_goes_on_when_its_program_has_ended(box: Box, code: Any, tmp_path: Path) -> None:
    host = read_host(box.inventory(tmp_path / "hosts"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "SIMMATE_REMOTE_HOSTS": str(tmp_path / "hosts")},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    run, folder = done.stdout.split()
    with desk_of(host) as desk:
        assert desk.call("status", ids=[run])[run]["state"] in ("queued", "running")
        wait_until(lambda: box.run(f"test -e {folder}/files/began-0").returncode == 0, 20, "it began")
        box.run(f"touch {folder}/files/go")
        assert desk.call("outcome", id=run)["plain"] == "went"
    end_session(host)


@contextlib.contextmanager
def program(text: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run another program of the user's for the time of a block."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, str(folder), *words],
        env={**os.environ, "SIMMATE_REMOTE_HOSTS": str(folder / "hosts")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


OTHER = """
import sys
from simmate_remote.inventory import load_host
from simmate_remote.session.desk import Desk
desk = Desk(load_host("lab-box"))
desk.open()
print(desk.made_session, flush=True)
sys.stdin.read()
desk.close()
"""


@contextlib.contextmanager
def a_maker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program that makes the session for its own desk, and does nothing else, for the time of a block."""
    with program(OTHER, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process


@embedded
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_a_run_goes_on_when_the_program_that_made_the_session_ends(
    box: Box, code: Any, tmp_path: Path, ending: str
) -> None:
    """That program has submitted nothing; the one that did has found the session there."""
    host = read_host(box.inventory(tmp_path / "hosts"))
    with a_maker(tmp_path) as maker, desk_of(host) as desk:
        assert not desk.made_session
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        if ending == "is killed":
            maker.kill()
        maker.communicate(timeout=30)
        wait_until(lambda: session_lasts(host), 20, "the session stays for the run")
        go(box, handle)
        assert handle.result(20) == "went"
        assert desk.ended is None
    end_session(host)


@embedded
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
@pytest.mark.slow
def test_a_run_of_an_earlier_session_goes_on_when_a_program_that_only_looks_ends(
    box: Box, code: Any, tmp_path: Path, ending: str
) -> None:
    """Everything there had ended in between, so nothing but the run itself says that it is wanted."""
    host = read_host(box.inventory(tmp_path / "hosts"))
    with desk_of(host) as desk:
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        end_session(host)
        with a_maker(tmp_path) as maker:
            wait_until(lambda: began(box, handle, 1), 20, "it was begun again")
            if ending == "is killed":
                maker.kill()
            maker.communicate(timeout=30)
        wait_until(lambda: session_lasts(host), 20, "the session stays for the run")
        go(box, handle)
        assert handle.result(20) == "went"
        end_session(host)


@embedded
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
@pytest.mark.slow
def test_a_session_that_stays_for_a_run_ends_with_it(box: Box, code: Any, tmp_path: Path, ending: str) -> None:
    box.inventory(tmp_path / "hosts")
    with program(f"{SCRIPT}sys.stdin.read()\n", tmp_path) as maker:
        assert maker.stdout is not None
        run, folder = maker.stdout.readline().split()
        wait_until(lambda: box.run(f"test -e {folder}/files/began-0").returncode == 0, 20, "it began")
        if ending == "is killed":
            maker.kill()
        maker.communicate(timeout=30)
    assert box.processes()
    box.run(f"touch {folder}/files/go")
    wait_until(lambda: not list(runtime_folder().glob("*.sock")), 30, "the session ended")
    assert_nothing_left(box)
    listed = subprocess.run([PROGRAM, "runs", "--json"], capture_output=True, check=True)
    assert [(each["id"], each["state"]) for each in json.loads(listed.stdout)] == [(run, "finished")]


CLUSTER = """
import sys
sys.path.insert(0, sys.argv[1])
import durables
from simmate_remote import RemoteCluster
from simmate_remote.inventory import load_host
from simmate_remote.session.desk import Desk
with RemoteCluster("lab-box") as cluster:
    desk = Desk(load_host("lab-box"))
    desk.open()
    assert not desk.made_session
    handle = getattr(durables, sys.argv[2]).submit(on=desk, **({"number": 2} if sys.argv[2] == "double" else {}))
    if sys.argv[2] == "double":
        assert handle.result() == 4
    desk.close()
print(handle.id)
"""


@pytest.mark.slow
@embedded
@pytest.mark.parametrize("workflow", ["double", "wait"])
def test_what_a_cluster_was_made_for_ends_with_it_unless_a_run_is_unfinished(
    box: Box, code: Any, tmp_path: Path, workflow: str
) -> None:
    host = read_host(box.inventory(tmp_path / "hosts"))
    with program(CLUSTER, tmp_path, workflow) as made:
        run = made.communicate(timeout=50)[0].strip()
    assert made.returncode == 0
    if workflow == "double":
        assert_nothing_left(box)
        return
    with desk_of(host) as desk:
        standing = desk.call("status", ids=[run])[run]
        assert standing["state"] in ("queued", "running")
        assert standing["attempt"] <= 1  # it was not begun again
    end_session(host)
