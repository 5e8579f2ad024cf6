"""Runs without a host are written down in the user's data folder, by whoever executes them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, LocalCluster

from simmate_remote import workflow
from simmate_remote.runs.host.store import RunStore
from simmate_remote.runs.recording import Recorded, local_folder, note_interrupted
from simmate_remote.workflows import recorded
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.submission import Prepared
from simmate_remote.workflows.target import Target
from tests.hosts import wait_until


@workflow
def double(number: int) -> int:
    return 2 * number


@workflow
def quadruple(number: int) -> int:
    return double.run(number=double.run(number=number))


@workflow
def many(length: int) -> list[int]:
    print("many:", length)
    if length < 0:
        raise ValueError(length)
    return list(range(length))


@workflow(version="3")
def fail(number: int) -> int:
    raise ValueError(f"not {number}")


@workflow
def interrupt() -> None:
    raise KeyboardInterrupt


def told() -> list[tuple[str, str]]:
    """Give the runs' names and the events that the journal has of them."""
    events = list(RunStore(local_folder()).journal.events())
    names = {line["run"]: line["workflow"] for line in events if line["event"] == "created"}
    return [(names[line["run"]], line["event"]) for line in events]


def test_a_run_of_this_process_is_recorded_and_its_parts_are_not() -> None:
    assert quadruple.run(number=3) == 12
    assert told() == [("quadruple", event) for event in ("created", "started", "finished")]
    run = next(RunStore(local_folder()).ids())
    folder = RunStore(local_folder()).run(run)
    outcome = folder.outcome(0)
    assert outcome is not None
    assert (outcome.state, outcome.plain, outcome.worker) == ("finished", 12, "serial")
    assert folder.spec().parameters == {"number": 3}


def test_what_fails_is_recorded_with_its_traceback() -> None:
    handle = fail.submit(number=7)
    with pytest.raises(ValueError, match="not 7"):
        handle.result()
    line = list(RunStore(local_folder()).journal.events())[-1]
    assert (line["run"], line["event"], line["error_type"], line["error"]) == (
        handle.id,
        "failed",
        "ValueError",
        "not 7",
    )
    assert "raise ValueError" in line["traceback"]


def test_ctrl_c_is_a_cancellation() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt.run()
    assert told()[-1] == ("interrupt", "cancelled")


def test_runs_on_local_processes_are_recorded() -> None:
    handles = double.map([{"number": number} for number in range(3)], on="local")
    assert [handle.result(60) for handle in handles] == [0, 2, 4]
    assert sorted({handle.id for handle in handles}) == sorted(RunStore(local_folder()).ids())


@pytest.mark.parametrize(("error", "end"), [(KeyboardInterrupt(), "cancelled"), (OSError("full"), "failed")])
def test_a_run_is_written_down_before_it_can_begin_and_ends_where_it_cannot(
    error: BaseException, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[tuple[str, str]] = []

    def refuse(*_: object, **__: object) -> None:
        before.extend(told())
        raise error

    monkeypatch.setattr(Prepared, "submit", refuse)
    with LocalCluster(1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        for submit in (
            lambda: double.submit(number=1, on=client),
            lambda: run_target(Target(__name__, "double", double, "double"), {"number": 1}, client),
        ):
            with pytest.raises(type(error)):
                submit()
            assert before == [("double", "created"), ("double", "started")]
            assert told()[-1] == ("double", end)
            before.clear()
            shutil.rmtree(local_folder())


def test_a_small_result_of_a_cluster_is_recorded_though_nobody_asks_for_it() -> None:
    with LocalCluster(1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        handles = many.map([{"length": 3}, {"length": 100_000}, {"length": -1}], on=client)
        folders = [RunStore(local_folder()).run(handle.id) for handle in handles]
        wait_until(lambda: all(folder.has_outcome(0) for folder in folders), 30, "all ends are written down")
        outcomes = [folder.outcome(0) for folder in folders]
        assert [(outcome.state, outcome.plain) for outcome in outcomes if outcome is not None] == [
            ("finished", [0, 1, 2]),
            ("finished", None),
            ("failed", None),
        ]
        assert RunStore(local_folder()).run(handles[0].id).output.read_text() == "many: 3\n"
        assert handles[1].result(30) == list(range(100_000))


def test_a_run_whose_process_was_killed_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(
        textwrap.dedent("""
            import os, signal
            from simmate_remote import workflow

            @workflow
            def die() -> None:
                os.kill(os.getpid(), signal.SIGKILL)
        """)
    )
    done = subprocess.run(
        [sys.executable, "-c", "import killed; killed.die.run()"], cwd=tmp_path, check=False, timeout=50
    )
    assert done.returncode == -signal.SIGKILL
    runs = list(RunStore(local_folder()).ids())
    note_interrupted(runs)
    assert told()[-1] == ("die", "interrupted")


def test_no_run_fails_since_it_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    local_folder().parent.mkdir(exist_ok=True)
    local_folder().write_text("not a folder")
    assert double.run(number=2) == 4
    assert "not recorded" in caplog.text
    assert os.path.isfile(local_folder())


UNTOLD = """
import os
from simmate_remote.runs import recording
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.identity import new_id

finished, failed, cut = recording.record([Spec(new_id(), name) for name in ("finishes", "fails", "is-cut")], "serial")

def full(*_):
    raise OSError(28, "No space left on device")

recording._tell = full
finished.end("finished", plain=7)
failed.end("failed", error={"type": "ValueError", "text": "no", "traceback": "", "pickled": ""})
cut.end("finished", plain=7)
os.truncate(cut.folder.path / "outcome.json", 5)
"""


def test_an_end_that_could_not_be_told_is_told_when_somebody_looks(caplog: pytest.LogCaptureFixture) -> None:
    subprocess.run([sys.executable, "-c", UNTOLD], check=True, timeout=50)
    created = [line["run"] for line in RunStore(local_folder()).journal.events() if line["event"] == "created"]
    assert note_interrupted(created)
    assert told()[-3:] == [("finishes", "finished"), ("fails", "failed"), ("is-cut", "interrupted")]
    finished, failed, _ = list(RunStore(local_folder()).journal.events())[-3:]
    outcome = RunStore(local_folder()).run(finished["run"]).outcome(0)
    assert outcome is not None
    assert (finished["time"], finished["result"]) == (outcome.ended, 7)
    assert (failed["error_type"], failed["error"]) == ("ValueError", "no")
    assert "counts as interrupted" in caplog.text


def test_an_end_that_cannot_be_written_down_takes_no_other_along(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held: list[Callable[[], None]] = []
    monkeypatch.setattr(recorded, "_writer", lambda _: SimpleNamespace(submit=held.append))
    with LocalCluster(1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        handles = many.map([{"length": length} for length in range(4)], on=client)
        wait_until(lambda: len(recorded._ends._come) == 4, 30, "all have ended")
        first = recorded._ends._come[0][0].id
        end = Recorded.end

        def refusing(record: Recorded, *how: Any, **rest: Any) -> None:
            if record.id == first:
                raise RuntimeError("cannot be had")
            end(record, *how, **rest)

        monkeypatch.setattr(Recorded, "end", refusing)
        held[0]()
    store = RunStore(local_folder())
    assert [handle.id for handle in handles if not store.run(handle.id).has_outcome(0)] == [first]
    assert f"the end of the run {first} is not written down" in caplog.text
