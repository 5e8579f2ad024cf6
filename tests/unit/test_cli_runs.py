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

from simmate_remote.cli import output
from simmate_remote.cli.app import main
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


def test_a_database_of_a_newer_version_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.sqlite") as newer:
        newer.execute("UPDATE simmate_remote_version SET version_num = '9999'")
    assert "a newer simmate-remote made them" in ran(capsys, code=1)
