"""``simmate-remote runs``: the list and its filters, all about one run, as a person and as a program reads it."""

from __future__ import annotations

import base64
import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer

from simmate_remote.cli import output
from simmate_remote.cli.app import main
from simmate_remote.database.plain import open_plain
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.host.journal import JournalWriter
from simmate_remote.runs.recording import local_folder
from tests.unit.run_rows import made

IDS = [f"01900000-0000-7000-8000-0000{number:08x}" for number in range(1, 5)]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a user with a database in a file, and four runs of this machine's own."""
    with made("sqlite", tmp_path):
        pass
    # An earlier test may have made the console, with the width of its own terminal.
    monkeypatch.setattr(output.out, "_width", 200)
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", f"sqlite:///{tmp_path}/rows.sqlite")
    local_folder().mkdir(parents=True)
    write(
        *({"run": run, "event": "created", "workflow": f"relax_{run[-1]}", "parameters": {"n": 1}} for run in IDS),
        {"run": IDS[1], "event": "started", "attempt": 1, "worker": "w"},
        {"run": IDS[2], "event": "corrected", "attempt": 1, "seen": ["no memory"], "done": ["fewer bands"]},
        {"run": IDS[2], "event": "finished", "attempt": 1, "result": {"energy": -1.5}, "seconds": 90.0},
        {
            "run": IDS[3],
            "event": "failed",
            "attempt": 2,
            "error_type": "ValueError",
            "error": "one\ntwo \x1b[31m",
            "traceback": "Traceback: …",
        },
    )


def write(*events: dict[str, Any]) -> None:
    writer = JournalWriter(local_folder() / "journal")
    writer.append({"time": 1000.0 + number, **each} for number, each in enumerate(events))
    writer.close()


def ran(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["runs", *words])
    captured = capsys.readouterr()
    assert (ended.value.code or 0) == code, captured.err
    return captured.out if code == 0 else captured.out + captured.err


def test_runs_are_listed_with_and_without_the_word(capsys: pytest.CaptureFixture[str]) -> None:
    text = ran(capsys)
    assert [line.split()[:4] for line in text.splitlines()[1:]] == [
        ["00000004", "failed", "relax_4", "here"],
        ["00000003", "finished", "relax_3", "here"],
        ["00000002", "running", "relax_2", "here"],
        ["00000001", "queued", "relax_1", "here"],
    ]
    assert "attempt 2; ValueError: two \\x1b[31m" in text
    assert text.splitlines()[2].split()[6:] == ["1.5", "min", "1", "correction"]
    assert ran(capsys, "list") == text
    assert ran(capsys, "--failed").count("\n") == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--failed"], [3]),
        (["--state", "queued", "--state", "running"], [1, 0]),
        (["--on", "here", "--limit", "1"], [3]),
        (["--on", "lab-box"], []),
        (["--workflow", "relax_2"], [1]),
        (["--since", "2 h"], []),
        (["--since", "1970-01-01"], [3, 2, 1, 0]),
        (["--before", "0003"], [1, 0]),
    ],
)
def test_filters(capsys: pytest.CaptureFixture[str], words: list[str], expected: list[int]) -> None:
    as_json = json.loads(ran(capsys, *words, "--json"))
    assert [IDS.index(run["id"]) for run in as_json] == expected
    as_csv = list(csv.DictReader(io.StringIO(ran(capsys, *words, "--csv"))))
    assert [IDS.index(run["id"]) for run in as_csv] == expected
    assert all(json.loads(run["parameters"]) == {"n": 1} for run in as_csv)


def test_older_ones_are_on_the_next_page(capsys: pytest.CaptureFixture[str]) -> None:
    write(*({"run": f"{IDS[0][:-3]}{number:03x}", "event": "created", "workflow": "x"} for number in range(16, 48)))
    with pytest.raises(SystemExit):
        main(["runs"])
    out, err = capsys.readouterr()
    assert out.count("\n") == 31
    before = err.split("--before ")[1].split()[0]
    assert ran(capsys, "--before", before).count("\n") == 7


def test_all_about_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = ran(capsys, "show", "0003")
    assert IDS[2] in text
    assert 'result:      {"energy": -1.5}' in text
    assert "corrected:   no memory: fewer bands" in text
    failed = ran(capsys, "show", "0004")
    assert "error:       ValueError: one" in failed
    assert "Traceback: …" in failed
    assert json.loads(ran(capsys, "show", "0004", "--json"))["all_attempts"][0]["how"] == "failed"


def test_a_result_that_cannot_be_read_here_is_kept_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    of_a_class = base64.b64encode(b"cnowhere\nThing\n.").decode()
    write({"run": IDS[0], "event": "finished", "attempt": 1, "result_pickle": of_a_class})
    text = ran(capsys, "show", "0001")
    assert "cannot be read here (ModuleNotFoundError: No module named 'nowhere'); its" in text
    assert "are kept" in text


def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no run 'ffff'" in ran(capsys, "show", "ffff", code=1)
    assert "more than one run" in ran(capsys, "show", "01900000", code=1)
    assert "neither a time" in ran(capsys, "--since", "yesterday", code=2)
    assert "queued" in ran(capsys, "--state", "dancing", code=2)


HOSTS = {"gone": "01900000-0000-7000-8000-0000000000a1", "here-still": "01900000-0000-7000-8000-0000000000a2"}


@pytest.fixture
def on_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give two runs on hosts, one of which has left the inventory."""
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts/here-still.yaml").write_text("ssh: here-still\n")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
    plain = open_plain()
    for host, run in HOSTS.items():
        collector = Collector(plain, Source(f"journal of {host}", host, host, "/runs"))
        collector.begin()
        collector.take(0, 1, [{"run": run, "event": "created", "workflow": "w", "time": 1.0}])
    plain.close()


def test_a_host_that_left_the_inventory_keeps_no_other_from_being_told_to_cancel(
    on_hosts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["runs", "cancel", "0001", *HOSTS.values(), "--json"])
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert json.loads(out) == dict.fromkeys(HOSTS.values(), "to be cancelled")
    assert "here-still cannot be reached now; it is told to cancel 000000a2" in err
    assert "000000a1 cannot be cancelled now: gone: no host of this name" in err
    assert "the host is told when it is connected again" in err
    assert "simmate-remote hosts add gone --ssh ADDRESS" in err
    assert "there is nothing to wait for, or to end" in err
    assert "cannot be cancelled now" in ran(capsys, "cancel", HOSTS["gone"], code=1)


def test_what_cannot_be_removed_keeps_no_other_from_being_removed(
    on_hosts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ran(capsys, "remove", HOSTS["gone"], "0004", code=1)
    assert "gone: no host of this name" in said
    assert "00000004 is removed" in said
    assert IDS[3] not in ran(capsys, "--json")
    assert '"HostNotFoundError"' in ran(capsys, "remove", HOSTS["gone"], "--json", code=1)


def test_runs_that_are_chosen_are_shown_and_asked_for(
    on_hosts: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ran(capsys, "remove", "--workflow", "relax_*", code=1)
    assert "whether 2 runs shall be removed can be asked in a terminal only" in said
    monkeypatch.setattr(output.err, "_width", 200)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []
    monkeypatch.setattr(typer, "confirm", lambda text, err: asked.append(text))
    said = ran(capsys, "remove", "--workflow", "relax_*", code=1)
    assert asked == ["Remove these 2 runs?"]
    assert [line.split()[:2] for line in said.splitlines()[1:]] == [["00000004", "failed"], ["00000003", "finished"]]
    assert ran(capsys, "--json", "--workflow", "relax_*").count('"id"') == 4
    monkeypatch.setattr(typer, "confirm", lambda text, err: True)
    assert json.loads(ran(capsys, "remove", "--workflow", "relax_*", "--since", "1970-01-01", "--json")) == IDS[:1:-1]
    assert json.loads(ran(capsys, "remove", "--workflow", "relax_*", "--yes", "--json")) == []


@pytest.mark.parametrize("command", ["cancel", "remove", "restart"])
def test_runs_are_either_named_or_chosen(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "name runs, or choose some by options" in ran(capsys, command, code=2)
    assert "either runs are named, or options choose them" in ran(capsys, command, "0003", "--on", "here", code=2)
    assert "neither a time" in ran(capsys, command, "--since", "yesterday", code=2)


def test_what_cannot_be_done_with_a_state_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "what is running cannot be removed" in ran(capsys, "remove", "--state", "running", code=2)
    assert "what is finished cannot be cancelled" in ran(capsys, "cancel", "--state", "finished", code=2)
    assert "what is finished cannot be restarted; failed, cancelled can" in ran(
        capsys, "restart", "--state", "finished", code=2
    )
    assert json.loads(ran(capsys, "restart", "n=2", "--state", "finished", "--yes", "--json")) == {}


def test_a_restart_by_options_leaves_out_what_would_run_in_this_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["runs", "restart", "--failed", "--yes"])
    assert not ended.value.code
    said = capsys.readouterr().err
    assert "1 of them ran on this machine" in said
    assert "simmate-remote runs restart 00000004" in said


def test_a_database_of_a_newer_version_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.sqlite") as newer:
        newer.execute("UPDATE simmate_remote_version SET version_num = '9999'")
    assert "a newer simmate-remote made them" in ran(capsys, code=1)
