"""The commands, from connect to disconnect, over both kinds of host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.cli.app import main
from tests.boxes import Box, assert_nothing_left

EXAMPLES = Path(__file__).parents[1] / "examples"
PI = f"{EXAMPLES / 'pi.py'}:estimate"
COMMAND = [sys.executable, "-c", "from simmate_remote.cli.app import main; main()"]


# What a host does is shown over both kinds of it; what a command makes of that, with one.
EMBEDDED_ONLY = pytest.mark.parametrize("box", ["embedded"], indirect=True)


class Terminal:
    """Types command lines, in a folder whose inventory has the box, and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        self.out, self.err = self.capsys.readouterr()
        assert (ended.value.code or 0) == code, self.err
        return self.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def terminal(box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    box.inventory(tmp_path / "hosts")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    terminal = Terminal(capsys)
    yield terminal
    if terminal.json("status"):
        terminal("disconnect", "lab-box", "--stop")


@pytest.fixture
def work(tmp_path: Path) -> Callable[[str], str]:
    """Write a file with functions, and name one of them."""
    (tmp_path / "work.py").write_text(
        "import dataclasses, os, time\n"
        "from simmate_remote import report_progress\n"
        "@dataclasses.dataclass\n"
        "class Cell:\n    edge: float\n    metal: str\n"
        "def cell(edge: float, metal: str = 'Cu'):\n    print('noise')\n    return Cell(edge, metal)\n"
        "def divide(by: int):\n    return 1 / by\n"
        "def wait():\n    report_progress(1, 1000, 'waiting for ever')\n    time.sleep(1000)\n"
        "def checked():\n    import pydantic\n"
        "def nothing():\n    print('said by a task', flush=True)\n"
    )
    return lambda function: f"{tmp_path / 'work.py'}:{function}"


@pytest.mark.slow_in_the_lab
def test_from_connect_to_disconnect(box: Box, terminal: Terminal) -> None:
    terminal("status")
    assert "Nothing is connected" in terminal.err
    report = terminal.json("connect", "lab-box")
    assert (report["host"], report["state"]) == ("lab-box", "connected")
    assert (report["lasting"], report["already"]) == (True, False)
    assert report["workers"]
    assert terminal.err.startswith("logging in at lab-box …\nstarting the keeper …\n")
    again = terminal("connect", "lab-box")
    assert "is connected since" in terminal.err
    for wanted in ("workers:", "dashboard: http://127.0.0.1:", "simmate-remote run FILE.py:FUNCTION --on lab-box"):
        assert wanted in again
    assert terminal("dashboard", "lab-box", "--print").strip() == report["dashboard"]
    assert float(terminal("run", PI, "samples=10000", "--on", "lab-box")) == pytest.approx(3.14, abs=0.1)
    (listed,) = terminal.json("status")
    assert (listed["pid"], listed["tasks"]["processing"]) == (report["pid"], 0)
    assert "lab-box" in terminal("status")
    assert report["scheduler"] in terminal("status", "lab-box")
    terminal("disconnect", "lab-box")
    assert "12 h" in terminal.out
    assert box.processes()
    assert "nothing was connected" in terminal("disconnect", "lab-box")
    terminal("disconnect", "lab-box", "--stop", code=1)
    assert "simmate-remote down lab-box" in terminal.err
    terminal("status", "lab-box", code=1)
    found = terminal.json("connect", "lab-box")
    assert found["scheduler_there"] == report["scheduler_there"]
    assert "nothing of ours runs there" in terminal("disconnect", "lab-box", "--stop")
    assert_nothing_left(box)
    assert box.logins() == 2


@EMBEDDED_ONLY
def test_results_and_failures(terminal: Terminal, work: Callable[[str], str]) -> None:
    terminal("connect", "lab-box")
    places = ("lab-box", "serial")
    for place in places:
        answer = terminal.json("run", work("cell"), "edge=3.6", "--on", place)
        assert (answer["result"], answer["attempts"]) == ({"edge": 3.6, "metal": "Cu"}, 1)
        assert "Cell(edge=3.6, metal='Al')" in terminal("run", work("cell"), "edge=3.6", "metal=Al", "--on", place)
        terminal("run", work("divide"), "by=0", "--on", place, code=1)
        assert terminal.out == ""
        assert "in divide\n    return 1 / by\n" in terminal.err
        assert "ZeroDivisionError: division by zero\n" in terminal.err
        failure = terminal.json("run", work("divide"), "by=0", "--on", place, code=1)
        assert (failure["error"], failure["what"]) == ("ZeroDivisionError", "division by zero")
        assert "in divide" in failure["detail"]
    assert "cell finished in this process" in (terminal("run", work("cell"), "edge=1") and terminal.err)
    terminal("run", work("divide"), "by=x", "--on", "lab-box", code=1)
    assert "by should be int" in terminal.err
    terminal("run", work("nothing"), "--on", "lab-box")
    assert "returned nothing" in terminal.err
    assert "worker-0   | said by a task" in terminal("logs", "lab-box", "--name", "worker-0")
    logs = [json.loads(line) for line in terminal("logs", "lab-box", "--json").splitlines()]
    assert {"scheduler", "worker-0"} <= {piece["name"] for piece in logs}
    terminal("logs", "lab-box", "--name", "worker-99")
    assert "no output of worker-99" in terminal.err
    terminal("logs", "lab-box", "--last", "3 stones", code=2)


@pytest.mark.parametrize("box", [pytest.param("lab", marks=pytest.mark.lab)], indirect=True)
def test_what_is_here_and_not_there_is_a_matter_of_setup(terminal: Terminal, work: Callable[[str], str]) -> None:
    terminal("connect", "lab-box")
    terminal("run", work("checked"), "--on", "lab-box", code=1)
    assert "No module named 'pydantic'" in terminal.err
    assert "next:      simmate-remote setup lab-box " in terminal.err
    failure = terminal.json("run", work("checked"), "--on", "lab-box", code=1)
    assert [remedy["command"] for remedy in failure["remedies"]] == ["simmate-remote setup lab-box"]


@pytest.mark.slow_in_the_lab
def test_run_connects_by_itself_and_leaves_nothing(box: Box, terminal: Terminal) -> None:
    assert float(terminal("run", PI, "samples=10000", "--on", "lab-box")) == pytest.approx(3.14, abs=0.1)
    assert "lab-box was not connected" in terminal.err
    assert_nothing_left(box)
    assert terminal.json("status") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("box", "connected"),
    [("embedded", True), ("embedded", False), pytest.param("lab", False, marks=pytest.mark.lab)],
    indirect=["box"],
)
def test_ctrl_c_in_a_run(box: Box, terminal: Terminal, work: Callable[[str], str], connected: bool) -> None:
    if connected:
        terminal("connect", "lab-box")
    ended = interrupt(["run", work("wait"), "--on", "lab-box"], when="waiting for ever, 1 of 1,000")
    assert "wait is taken back" in ended.stderr
    assert ended.returncode == 130
    assert bool(terminal.json("status")) is connected
    if not connected:
        assert_nothing_left(box)


@pytest.mark.parametrize(
    ("box", "step"),
    [
        ("embedded", "logging in"),
        pytest.param("lab", "starting the keeper", marks=pytest.mark.lab),
        ("embedded", "starting scheduler"),
        pytest.param("lab", "waiting for the workers", marks=pytest.mark.lab),
    ],
    indirect=["box"],
)
def test_ctrl_c_while_it_connects(box: Box, terminal: Terminal, step: str) -> None:
    ended = interrupt(["connect", "lab-box"], when=step)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert terminal.json("status") == []
    assert_nothing_left(box)


def test_foreground(box: Box, terminal: Terminal) -> None:
    ended = interrupt(["connect", "lab-box", "--foreground"], when="Ctrl-C ends everything on the host")
    assert ended.returncode == 130
    assert_nothing_left(box)


@EMBEDDED_ONLY
def test_logs_follow_until_ctrl_c(terminal: Terminal) -> None:
    terminal("connect", "lab-box")
    ended = interrupt(["logs", "lab-box", "--follow"], when="Register worker", stream="stdout")
    assert (ended.returncode, ended.stderr) == (130, "")


@EMBEDDED_ONLY
def test_what_is_connected_stays_reachable_when_its_file_is_gone(terminal: Terminal, tmp_path: Path) -> None:
    terminal("connect", "lab-box")
    (tmp_path / "hosts" / "lab-box.yaml").unlink()
    assert terminal.json("status", "lab-box")["state"] == "connected"
    assert "another description" in terminal.err
    terminal("disconnect", "lab-box", "--stop")
    terminal("disconnect", "lab-box", code=1)
    assert "hosts add" in terminal.err


def test_demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("ase", reason="needs ASE: pip install 'simmate-remote[examples]'")
    monkeypatch.chdir(tmp_path)
    terminal = Terminal(capsys)
    printed = terminal("demo")
    assert "Kittel" in printed
    assert "demo/metals.png" in printed
    assert (tmp_path / "demo" / "metals.png").read_bytes().startswith(b"\x89PNG")
    assert terminal.json("status") == []


def interrupt(arguments: list[str], *, when: str, stream: str = "stderr") -> subprocess.CompletedProcess[str]:
    """Type a command line, and Ctrl-C as soon as it has written something."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, *arguments], text=True, start_new_session=True, **pipes) as process:
        written = ""
        pipe = getattr(process, stream)
        while when not in written:
            line = pipe.readline()
            assert line, written
            written += line
        os.kill(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, error)
