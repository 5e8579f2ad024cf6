"""``simmate-remote hosts``, and what all commands share: help, errors, JSON, exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.cli import app as cli
from simmate_remote.cli import hosts, output
from simmate_remote.cli.app import main
from simmate_remote.errors import LinkLostError, Remedy
from simmate_remote.inventory import load_host
from simmate_remote.version import __version__


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder without ``hosts``, and let nothing be cut at 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")


class Terminal:
    """Runs command lines and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        self.out, self.err = self.capsys.readouterr()
        assert (ended.value.code or 0) == code, self.err
        return self.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a ``hosts`` folder in the current one."""
    folder = tmp_path / "hosts"
    folder.mkdir()
    (folder / "lab-box.yaml").write_text("ssh: me@lab\n")
    return folder


def test_add_show_list_remove(terminal: Terminal) -> None:
    terminal(
        *("hosts", "add", "lab-box", "--ssh", "me@lab", "--workers", "4", "--threads", "2", "--memory", "8 GiB"),
        *(
            "--environment",
            "ODD=a=b; $HOME 'é'",
            "--resource",
            "GPU=1",
            "--python",
            "~/v e",
            "--folder",
            "/x",
            "--lease",
            "1 d",
        ),
    )
    assert "lab-box is described in" in terminal.out
    host = load_host("lab-box")
    assert host.workers.environment == {"ODD": "a=b; $HOME 'é'"}
    shown = terminal.json("hosts", "show", "lab-box")
    assert shown["workers"] == {
        "count": 4,
        "threads": 2,
        "memory": "8 GiB",
        "environment": {"ODD": "a=b; $HOME 'é'"},
        "resources": {"GPU": 1.0},
    }
    assert (shown["python"], shown["folder"], shown["lease"]) == ("~/v e", "/x", "1 d")
    assert [entry["name"] for entry in terminal.json("hosts", "list")] == ["lab-box"]
    assert terminal.json("hosts", "remove", "lab-box")["removed"] == str(host.source)
    assert terminal.json("hosts", "list") == []


def test_for_people(terminal: Terminal) -> None:
    terminal("hosts", "list")
    assert "There is no host yet" in terminal.err
    terminal("hosts", "add", "lab-box", "--ssh", "me@lab", "--environment", "A=[bold]b[/]")
    assert "ready" in terminal("hosts", "list")
    shown = terminal("hosts", "show", "lab-box")
    assert "A=[bold]b[/]" in shown
    assert "~/simmate-remote" in shown


def test_relative_ssh_config_begins_where_it_was_typed(terminal: Terminal, tmp_path: Path) -> None:
    terminal("hosts", "add", "lab-box", "--ssh", "lab", "--ssh-config", "config")
    assert load_host("lab-box").ssh_config == tmp_path / "config"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--ssh", "-x"], "begins with `-`"),
        (["--ssh", "a", "--workers", "0"], "workers.count: expected a whole number"),
        (["--ssh", "a", "--environment", "A"], "expected NAME=VALUE, found 'A'"),
        (["--ssh", "a", "--environment", "A-B=1"], "workers.environment.A-B"),
        (["--ssh", "a", "--resource", "GPU=x"], "expected NAME=AMOUNT with a number"),
        (["--ssh", "a", "--memory", "8"], "the unit is missing"),
    ],
)
def test_wrong_options(terminal: Terminal, options: list[str], says: str) -> None:
    terminal("hosts", "add", "lab-box", *options, code=1)
    assert terminal.out == ""
    assert says in terminal.err
    assert "nothing was written" in terminal.err


def test_a_tilde_that_the_shell_here_has_replaced_is_said(terminal: Terminal) -> None:
    home = Path.home()
    terminal("hosts", "add", "lab-box", "--ssh", "me@lab", "--folder", f"{home}/my files", "--python", "~/env")
    assert f"--folder begins at the home here, {home}, " in terminal.err
    assert "'~/my files' is in the home there" in terminal.err
    assert "--python" not in terminal.err


def test_errors_as_json_are_the_one_document(terminal: Terminal) -> None:
    error = terminal.json("hosts", "show", "nowhere", code=1)
    assert error["error"] == "HostNotFoundError"
    assert error["remedies"][0]["command"] == "simmate-remote hosts list"
    assert terminal.err == ""


def test_usage_errors(terminal: Terminal) -> None:
    terminal("hosts", "shw", code=2)
    assert "Did you mean 'show'?" in terminal.err
    terminal("hots", code=2)
    assert "Did you mean 'hosts'?" in terminal.err
    terminal("hosts", "add", "lab-box", code=2)
    assert "--ssh" in terminal.err


def test_trust_asks_without_a_terminal_for_yes(terminal: Terminal, checkout: Path) -> None:
    (checkout / "broken.yaml").write_text("ssh: [1]")
    assert "untrusted" in terminal("hosts", "list")
    assert "simmate-remote hosts trust" in terminal.err
    terminal("hosts", "trust", code=1)
    assert "me@lab" in terminal.err
    assert "hosts/broken.yaml, line 1, ssh" in terminal.err
    assert "simmate-remote hosts trust --yes" in terminal.err
    terminal("hosts", "show", "lab-box", code=1)
    assert terminal.json("hosts", "trust", "--yes") == {"folder": str(checkout), "trusted": True}
    assert terminal.json("hosts", "show", "lab-box")["ssh"] == "me@lab"
    terminal("hosts", "trust", "--withdraw")
    terminal("hosts", "show", "lab-box", code=1)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_trust_asks(
    terminal: Terminal, checkout: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    terminal("hosts", "trust", str(checkout.parent), code=code)
    terminal("hosts", "show", "lab-box", code=code)


def test_trust_records_what_it_showed(terminal: Terminal, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_meanwhile(path: Path) -> None:
        (path / "lab-box.yaml").write_text("ssh: evil")

    monkeypatch.setattr(hosts, "_ask", change_meanwhile)
    terminal("hosts", "trust")
    terminal("hosts", "show", "lab-box", code=1)
    assert "has changed since you trusted it: lab-box.yaml" in terminal.err


def test_trust_of_nothing(terminal: Terminal) -> None:
    terminal("hosts", "trust", code=1)
    assert "there is no folder hosts" in terminal.err


def test_added_host_that_a_checkout_hides_is_said(terminal: Terminal, checkout: Path) -> None:
    terminal("hosts", "add", "lab-box", "--ssh", "mine")
    assert "hosts/lab-box.yaml comes first" in terminal.err


def test_version_and_schema(terminal: Terminal) -> None:
    assert terminal("--version") == f"simmate-remote {__version__}\n"
    assert json.loads(terminal("hosts", "schema"))["required"] == ["ssh"]
    assert terminal.json("hosts", "schema")["required"] == ["ssh"]


def test_help_imports_no_command() -> None:
    script = (
        "import sys\nfrom simmate_remote.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(*(set(sys.modules) & {'asyncio', 'asyncssh', 'bokeh', 'distributed', 'pydantic', 'rich', 'yaml'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True, timeout=30
    )
    *help_text, heavy = done.stdout.splitlines()
    assert heavy == ""
    for name, command in cli.COMMANDS.items():
        assert any(line.split() == [name, *command.help.split()] for line in help_text), name


def test_a_function_becomes_a_command(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "fake_command.py").write_text(
        "from simmate_remote.cli.output import JsonOption, emit, emit_line\n"
        "def greet(name: str, as_json: JsonOption = False) -> None:\n"
        '    """Greet somebody.\n\n    Args:\n        name: Whom.\n    """\n'
        "    emit_line({'n': 1}, human='one', as_json=as_json)\n"
        "    if name == 'nobody':\n        raise ZeroDivisionError('[red]\\x1b[31mno\\n')\n"
        "    if name == 'ctrl-c':\n        raise KeyboardInterrupt\n"
        "    emit_line({'n': float('nan')}, human=lambda: print(name), as_json=as_json)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(cli.COMMANDS, "greet", cli._Command("fake_command:greet", "Greet."))
    assert "Whom" not in terminal("greet", "--help")
    assert terminal("greet", "me") == "one\nme\n"
    lines = [json.loads(line) for line in terminal("greet", "me", "--json").splitlines()]
    assert lines == [{"n": 1}, {"n": None}]
    terminal("greet", "nobody", code=1)
    assert r"ZeroDivisionError: [red]\x1b[31mno" in terminal.err
    assert "Traceback" not in terminal.err
    terminal("--debug", "greet", "nobody", code=1)
    assert "Traceback" in terminal.err
    terminal("greet", "ctrl-c", code=130)


def test_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from simmate_remote.cli.app import main; main()", "hosts", "schema"]
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (1, b"")


def test_error_of_a_server_cannot_speak_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = LinkLostError(
        "gone [bold]now[/bold]",
        host="lab-box",
        remedies=(Remedy("simmate-remote status"),),
        detail="\x1b]0;evil\x07\x9b31m",
    )
    output.print_error(error, as_json=False, debug=False)
    said = capsys.readouterr().err
    assert "lab-box: gone [bold]now[/bold]\n" in said
    assert "  next:      simmate-remote status\n" in said
    assert r"\x1b]0;evil\x07\x9b31m" in said


def test_plain_values_are_json() -> None:
    value = {1: [float("inf"), {"x"}, ("a", None, True)], "path": Path("/x"), "other": 1j}
    assert output.plain(value) == {"1": [None, ["x"], ["a", None, True]], "path": "/x", "other": "1j"}
