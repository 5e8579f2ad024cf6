"""Workflows at the command line: listed, shown, with parameters from a file, and one run for each of many files."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.cli.app import main

MODULE = '''
from pathlib import Path
from simmate_remote import gather, task, workflow

@task
def half(x: int) -> float:
    return x / 2

@workflow(name="size", version="3")
def measure(file: Path, factor: float = 2) -> float:
    """Measure a file.

    By its characters.
    """
    text = file.read_text()
    if "bad" in text:
        raise ValueError("a bad file")
    return sum(gather(half.map([len(text)] * 2))) * factor
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "flows.py").write_text(MODULE)
    for name, text in {"a": "1", "b": "22", "c": "bad"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def command(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def as_json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    return json.loads(command(capsys, *words, "--json", code=code)[0])


def test_workflows_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "workflows", "list", "flows.py") == [
        {"name": "size", "version": "3", "target": "flows.py:measure", "summary": "Measure a file."}
    ]
    shown = as_json(capsys, "workflows", "show", "flows.py:measure")
    assert shown["parameters"] == [
        {"name": "file", "type": "pathlib.Path", "default": None},
        {"name": "factor", "type": "float", "default": "2"},
    ]
    assert "By its characters." in command(capsys, "workflows", "show", "flows.py:measure")[1]
    assert as_json(capsys, "workflows", "list", "gone.py", code=1)["error"] == "WorkflowError"


def test_what_a_module_prints_is_not_in_the_document(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "loud.py").write_text(f"print('imported')\n{MODULE}")
    assert as_json(capsys, "workflows", "show", "loud.py:measure")["version"] == "3"
    (folder / "louder.py").write_text(f"print('imported')\n{MODULE}")
    assert as_json(capsys, "workflows", "list", "louder.py")[0]["version"] == "3"


def test_a_package_is_listed_with_all_its_modules(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    package = folder / "flowpackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inside.py").write_text(MODULE)
    listed = as_json(capsys, "workflows", "list", "flowpackage")
    assert [each["target"] for each in listed] == ["flowpackage.inside:measure"]
    (package / "broken.py").write_text("import nowhere_to_be_found")
    error = as_json(capsys, "workflows", "list", "flowpackage", code=1)
    assert error["error"] == "WorkflowError"
    assert "importing flowpackage.broken failed with ModuleNotFoundError" in error["what"]


def test_installed_packages_make_workflows_known(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "flows", raising=False)  # an earlier test's
    assert as_json(capsys, "workflows", "list") == []
    entry = importlib.metadata.EntryPoint("known", "flows:measure", "simmate_remote.workflows")
    broken = importlib.metadata.EntryPoint("broken", "nowhere:f", "simmate_remote.workflows")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry, broken])
    listed = as_json(capsys, "workflows", "list")
    assert [(each["name"], each["version"]) for each in listed] == [("broken", ""), ("known", "3")]
    assert listed[0]["summary"] == "cannot be imported: there is no module 'nowhere'"
    assert command(capsys, "run", "known", "file=a.txt")[0] == "2.0\n"


def test_parameters_from_a_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "set.yaml").write_text("file: b.txt\nfactor: 10\n")
    assert command(capsys, "run", "flows.py:measure", "--parameters", "set.yaml")[0] == "20.0\n"
    assert command(capsys, "run", "flows.py:measure", "--parameters", "set.yaml", "factor=1")[0] == "2.0\n"
    (folder / "set.json").write_text('{"file": "b.txt", "colour": 1}')
    for name, words in {
        "set.json": "has no parameter 'colour'",
        "gone.yaml": "cannot be read",
        "a.txt": "has to be a mapping",
    }.items():
        assert words in command(capsys, "run", "flows.py:measure", "--parameters", name, code=1)[1]


@pytest.mark.parametrize("place", ["serial", "local"])
def test_a_run_for_each_file(capsys: pytest.CaptureFixture[str], place: str) -> None:
    found = as_json(capsys, "run", "flows.py:measure", "file=?.txt", "factor=1", "--on", place, code=1)
    assert [each["parameters"]["file"] for each in found] == ["a.txt", "b.txt", "c.txt"]
    assert [each.get("result") for each in found] == [1.0, 2.0, None]
    assert (found[2]["error"], found[2]["what"]) == ("ValueError", "a bad file")
    out, err = command(capsys, "run", "flows.py:measure", "file=[ab].txt", "--on", place)
    assert out == "[2.0, 4.0]\n"
    lines = [line.partition(" after")[0] for line in err.splitlines()]
    assert sorted(line.partition(": ")[2] for line in lines if " of 2: " in line) == [
        "a.txt finished",
        "b.txt finished",
    ]
    tasks = ["a.txt: half 1 finished", "a.txt: half 2 finished", "b.txt: half 1 finished", "b.txt: half 2 finished"]
    assert sorted(line for line in lines if " of 2: " not in line) == tasks


def test_a_line_for_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    err = command(capsys, "run", "flows.py:measure", "file=a.txt")[1]
    assert [line.partition(" after")[0] for line in err.splitlines()[-3:]] == [
        "half 1 finished",
        "half 2 finished",
        "measure finished in this process",
    ]


def test_a_table_of_tasks_in_a_terminal() -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("simmate-remote"), "run", "flows.py:measure", "file=a.txt", "--on", "local"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    screen = b""
    with contextlib.suppress(OSError):  # a terminal whose other end was closed
        while part := os.read(ours, 10_000):
            screen += part
    os.close(ours)
    assert process.wait(20) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode()).splitlines()
    last = [" ".join(line.split()) for line in lines[-6:]]
    assert last[0] == "task stage time"
    assert sorted(last[1:3]) == ["half 1 finished 0 s", "half 2 finished 0 s"]
    assert last[3] == "half: 2 finished"
    assert last[5] == "2.0"


def test_patterns_that_fit_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "file=*.cif: there is no such file" in command(capsys, "run", "flows.py:measure", "file=*.cif", code=1)[1]
