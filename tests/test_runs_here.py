"""Runs that this machine's programs made without a host: what ``runs`` says of them, and does with them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.cli import output
from simmate_remote.cli.app import main

SIMMATE_REMOTE = (sys.executable, "-c", "from simmate_remote.cli.app import main; main()")

MODULE = """
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from simmate_remote import workflow

@workflow(name="hold-on")
def hold(name: str, file: Path = Path("data.txt")):
    '''Tell who executes it, and wait for ever, until it may go on.'''
    print("began with", name)
    if not Path("go").exists():
        Path("begun").write_text(str(os.getpid()))
        threading.Event().wait()
    return {"name": name, "text": file.read_text(), "in": os.getcwd()}

@dataclass
class Settings:
    depth: int = 1
    lock: object = None

@workflow
def fail(settings: Settings, size: int = 0):
    if not Path("go").exists():
        raise ValueError("not yet")
    return settings.depth + size

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def plain(number: int) -> int:
    return 2 * number
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "flows.py").write_text(MODULE)
    (folder / "data.txt").write_text("there")
    os.mkfifo(folder / "begun")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(output.out, "_width", 200)
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", f"sqlite:///{tmp_path}/rows.sqlite")
    return folder


def ran(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    captured = capsys.readouterr()
    assert (ended.value.code or 0) == code, captured.err
    return captured.out, captured.err


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Give all runs, the newest first."""
    return list(json.loads(ran(capsys, "runs", "list", "--json")[0]))


@pytest.mark.parametrize("place", ["serial", "local"])
def test_a_run_whose_program_was_killed_is_run_again(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    program = subprocess.Popen(
        [*SIMMATE_REMOTE, "run", "flows.py:hold", "name=a", "--on", place],
        stderr=subprocess.DEVNULL,
    )
    executing = int((folder / "begun").read_text())
    watched = os.pidfd_open(executing)
    try:
        (run,) = rows(capsys)
        assert run["state"] == "running"
        for command in ("restart", "remove", "cancel", "attach"):
            _, said = ran(capsys, "runs", command, run["id"], code=1)
            assert f"executed by the process {program.pid} of this machine" in said
    finally:
        program.kill()
        program.wait()
    assert select.select([watched], [], [], 30)[0], "the process that executed it lives"
    os.close(watched)

    shown = f"simmate-remote runs restart {run['id'][-8:]}"
    listed, news = ran(capsys, "runs")
    assert "interrupted" in listed
    assert shown in listed
    assert f"interrupted here, with its program: hold; {shown}" in news
    assert "interrupted here" not in ran(capsys, "runs")[1]
    about, _ = ran(capsys, "runs", "show", run["id"])
    assert "its process had ended by then" in about
    assert shown in about

    (folder / "go").touch()
    monkeypatch.chdir("/")
    out, said = ran(capsys, "runs", "restart", run["id"], "name=b")
    assert f"hold runs again {'in this process' if place == 'serial' else 'on this machine'}, in {folder}" in said
    assert "'name': 'b', 'text': 'there'" in out
    again, old = rows(capsys)
    assert (again["state"], again["restarted_from"], again["parameters"]) == ("finished", old["id"], {"name": "b"})
    assert again["result"]["name"] == "b"
    assert again["worker"] == place
    assert old["state"] == "interrupted"
    assert f"of the run {old['id']}" in ran(capsys, "runs", "show", again["id"])[0]
    assert ran(capsys, "runs", "logs", again["id"])[0] == "began with b\n"


def test_a_program_that_was_killed_before_anybody_looked_is_known_at_the_first_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = subprocess.run([*SIMMATE_REMOTE, "run", "flows.py:die"], check=False, timeout=50)
    assert done.returncode == -signal.SIGKILL
    (run,) = rows(capsys)
    assert run["state"] == "interrupted"


def test_a_file_that_is_typed_is_meant_from_where_it_is_typed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (folder / "go").touch()
    ran(capsys, "run", "flows.py:hold", "name=a", "file=data.txt")
    (run,) = rows(capsys)
    _, said = ran(capsys, "runs", "restart", run["id"], code=1)
    assert "has finished, and is not run again" in said
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.txt").write_text("elsewhere")
    document = json.loads(ran(capsys, "runs", "restart", run["id"], "file=other.txt", "--json")[0])
    assert document["result"] == {"name": "a", "text": "elsewhere", "in": str(folder)}
    assert Path.cwd() == tmp_path


def test_what_failed_in_a_script_runs_again_with_objects_of_its_own_classes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "script.py").write_text(
        MODULE + "\nif __name__ == '__main__':\n    fail.submit(settings=Settings(depth=3), size=1)\n"
    )
    subprocess.run([sys.executable, "script.py"], check=True, timeout=50)
    (run,) = rows(capsys)
    assert (run["state"], run["error"]) == ("failed", "not yet")
    _, said = ran(capsys, "runs", "restart", run["id"], code=1)
    assert "ValueError: not yet" in said
    (folder / "go").touch()
    _, said = ran(capsys, "runs", "restart", run["id"], "depth=2", code=1)
    assert "depth" in said
    assert ran(capsys, "runs", "restart", run["id"], "size=4")[0] == "7\n"


def test_what_cannot_be_run_again_says_why_and_what_to_type(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import flows, threading\n"
        "for lock in (threading.Lock(), b'0' * 300_000):\n"
        "    flows.fail.submit(settings=flows.Settings(lock=lock))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)
    large, locked = rows(capsys)
    next_command = f"simmate-remote run {folder}/flows.py:fail NAME=VALUE"
    for run, why in ((locked, "settings.lock is a _thread.lock"), (large, "bytes, and of a run here 262,144 are kept")):
        _, said = ran(capsys, "runs", "restart", run["id"], code=1)
        assert why in said
        assert next_command in said
    (folder / "flows.py").rename(folder / "renamed.py")
    _, said = ran(capsys, "runs", "restart", locked["id"], code=1)
    assert f"there is no file {folder}/flows.py" in said
    (folder / "renamed.py").rename(folder / "flows.py")
    monkeypatch.chdir("/")
    folder.rename(folder.with_name("moved"))
    _, said = ran(capsys, "runs", "restart", locked["id"], code=1)
    assert f"the folder that fail ran in is gone: {folder}" in said


def test_files_and_output_of_a_run_here_are_where_it_ran(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "run", "flows.py:plain", "number=4")
    (run,) = rows(capsys)
    assert run["result"] == 8
    _, said = ran(capsys, "runs", "files", run["id"], code=1)
    assert f"writes where it runs, which was {folder}" in said
    out, said = ran(capsys, "runs", "logs", run["id"])
    assert out == ""
    assert "nothing of it is kept" in said
    _, said = ran(capsys, "runs", "attach", run["id"], code=1)
    assert f"simmate-remote runs show {run['id'][-8:]}" in said
    ran(capsys, "runs", "remove", run["id"])
    assert rows(capsys) == []
    assert not Path(run["folder"]).exists()


def test_ctrl_c_is_a_cancellation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = subprocess.Popen(
        [*SIMMATE_REMOTE, "run", "flows.py:hold", "name=a", "--on", "local"],
        stderr=subprocess.DEVNULL,
    )
    watched = os.pidfd_open(int((folder / "begun").read_text()))
    try:
        program.send_signal(signal.SIGINT)
        program.wait(30)
    finally:
        program.kill()
        program.wait()
    assert select.select([watched], [], [], 30)[0]
    os.close(watched)
    (run,) = rows(capsys)
    assert run["state"] == "cancelled"
    (folder / "go").touch()
    assert json.loads(ran(capsys, "runs", "restart", run["id"], "--json")[0])["result"]["name"] == "a"
