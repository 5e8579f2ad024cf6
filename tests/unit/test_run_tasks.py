"""What a run's tasks tell of themselves, gathered: what runs, what has ended, and how many there are."""

from __future__ import annotations

from typing import Any

import pytest

from simmate_remote.workflows.run_tasks import Counts, RunTasks, TaskReport


def report(number: int, **about: Any) -> dict[str, Any]:
    return {"run": "r", "key": f"k{number}", "label": f"energy {number}", "name": "energy", "seconds": 2.0, **about}


def test_tasks_begin_and_end() -> None:
    tasks = RunTasks()
    tasks.take({"run": "r", "added": {"energy": 4}})
    assert tasks.counts()["energy"].waiting == 4
    for number in (1, 2, 3):
        tasks.take(report(number, state="running"))
    tasks.take(report(1, state="running", stage="running", attempt=2, corrections=1, values={"step": 3.0}))
    assert [task.label for task in tasks.running()] == ["energy 1", "energy 2", "energy 3"]
    tasks.take(report(2, state="finished", seconds=5.0))
    tasks.take(report(3, state="failed", text="ValueError: no"))
    assert tasks.counts() == {"energy": Counts(started=4, running=1, finished=1, failed=1)}
    assert tasks.counts()["energy"].waiting == 1
    assert tasks.ended_and_started() == (2, 4)
    assert [(task.label, task.state, task.text) for task in tasks.take_endings()] == [
        ("energy 2", "finished", ""),
        ("energy 3", "failed", "ValueError: no"),
    ]
    assert tasks.take_endings() == []
    assert [task.label for task in tasks.latest(2)] == ["energy 1", "energy 3"]
    assert tasks.running()[0].age > 2.0
    assert next(task.age for task in tasks.latest(9) if task.state == "finished") == 5.0


def test_what_has_ended_takes_no_memory_for_ever() -> None:
    tasks = RunTasks()
    for number in range(3000):
        tasks.take(report(number, state="running"))
        tasks.take(report(number, state="finished"))
    assert tasks.counts()["energy"].finished == 3000
    assert len(tasks.take_endings()) == 1000
    assert len(tasks.latest(3000)) == 50


def test_an_end_whose_beginning_was_not_heard_counts() -> None:
    tasks = RunTasks()
    tasks.take(report(1, state="finished"))
    assert tasks.counts()["energy"] == Counts(finished=1)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, ""),
        ({"text": "reading"}, "reading"),
        ({"stage": "setup"}, "setup"),
        ({"stage": "running", "attempt": 1}, "running"),
        (
            {"stage": "running", "attempt": 3, "corrections": 2, "values": {"step": 12.0, "energy": -15.84}},
            "running, attempt 3, 2 corrections, step 12, energy -15.84",
        ),
    ],
)
def test_a_task_in_words(about: dict[str, Any], words: str) -> None:
    assert TaskReport.of(report(1, **about)).in_words() == words


def test_the_program_that_a_run_performs_itself() -> None:
    tasks = RunTasks()
    assert tasks.program() == ""
    tasks.take(report(1, state="running", stage="running", values={"step": 7.0}))
    assert tasks.program() == "running, step 7"
    tasks.take(report(2, state="running", stage="setup"))
    assert tasks.program() == ""  # two of them are no single line
