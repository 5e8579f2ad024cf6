"""The tasks of a run as a person sees them: lines where there is no terminal, a table in one."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from simmate_remote.cli import task_lines
from simmate_remote.cli.task_lines import TaskLines
from simmate_remote.cli.task_table import counted, task_table, time_in_words
from simmate_remote.workflows.run_tasks import RunTasks, TaskReport


def report(number: int, **about: Any) -> dict[str, Any]:
    return {"run": "r", "key": f"k{number}", "label": f"pw {number}", "name": "pw", "seconds": 2.0, **about}


def running(number: int, step: float, **about: Any) -> dict[str, Any]:
    told = {"state": "running", "stage": "running", "attempt": 1, "values": {"step": step}, "folder": "/data/si"}
    return report(number, **{**told, **about})


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a clock that a test sets."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    return clock


def test_lines(capsys: pytest.CaptureFixture[str], now: list[float]) -> None:
    tasks = RunTasks()
    lines = TaskLines(tasks, "a.cif: ")

    def told() -> list[str]:
        lines.look()
        return capsys.readouterr().err.splitlines()

    tasks.take(running(1, 1, seconds=0.1))
    assert told() == []  # most tasks are over before anybody could read that they have begun
    now[0] += task_lines.SECONDS_BEFORE_FIRST
    assert told() == ["a.cif: pw 1: running in /data/si, step 1"]
    tasks.take(running(1, 2))
    assert told() == []
    now[0] += task_lines.SECONDS_BETWEEN
    assert told() == ["a.cif: pw 1: running, step 2"]
    tasks.take(running(1, 0, attempt=2, corrections=1))
    assert told() == ["a.cif: pw 1: running, attempt 2, 1 correction, step 0"]
    tasks.take(running(1, 9, attempt=2, corrections=1, state="finished", seconds=60.25))
    tasks.take(report(2, state="failed", text="ValueError: no\nsecond line"))
    assert told() == [
        "a.cif: pw 1 finished after 60.2 s, attempt 2, 1 correction, step 9",
        "a.cif: pw 2 failed after 2.0 s: ValueError: no",
    ]
    assert told() == []


def test_a_number_of_a_long_task_is_told_more_and_more_seldom(
    capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    tasks = RunTasks()
    lines = TaskLines(tasks)
    for second in range(36_000):
        tasks.take(running(1, second, seconds=float(second)))
        lines.look()
        now[0] += 1
    assert 50 < len(capsys.readouterr().err.splitlines()) < 100


def test_beside_a_table_only_failures_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = RunTasks()
    tasks.take(running(1, 1))
    tasks.take(report(2, state="finished"))
    tasks.take(report(3, state="failed", text="ValueError: no"))
    TaskLines(tasks, only_failures=True).look()
    assert capsys.readouterr().err == "pw 3 failed after 2.0 s: ValueError: no\n"


def picture(rows: list[tuple[str, dict[str, Any]]], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(task_table([(run, TaskReport.of(one)) for run, one in rows], width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_table_has_the_columns_that_say_something() -> None:
    plain = [("", report(1, state="finished", done=3, total=10, text="reading"))]
    assert picture(plain, 120) == ["task stage time how it goes", "pw 1 finished 2 s 3/10, reading"]
    mended = [("a.cif", running(1, 12, attempt=3, corrections=2, state="finished", values={"energy": -15.84}))]
    assert picture(mended, 120) == [
        "run task stage attempt corrections time how it goes folder",
        "a.cif pw 1 finished 3 2 2 s energy -15.84 /data/si",
    ]
    assert picture(mended, 80)[0].endswith("how it goes")  # no room for folders


def test_how_many_there_are_and_how_long_it_took() -> None:
    tasks = RunTasks()
    tasks.take({"run": "r", "added": {"pw": 1000, "fit": 1}})
    tasks.take(running(1, 1))
    tasks.take(report(2, state="failed"))
    assert list(counted(tasks)) == ["pw: 1 running, 998 waiting, 1 failed", "fit: 1 waiting"]
    assert [time_in_words(seconds) for seconds in (9.9, 65, 3661)] == ["9 s", "1:05", "1:01:01"]
