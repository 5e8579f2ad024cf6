"""The collector: whatever is delivered, in whatever pieces and however often, the rows are the journal's, each once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simmate_remote.database.plain import Plain
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.states import ENDED, TRANSITIONS, way
from tests.unit.run_rows import database_kinds, everything, made

SOURCE = Source("j1", "lab-box", "lab-box.uni", "/home/me/.simmate-remote/runs")


@pytest.fixture(params=database_kinds())
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plain]:
    """Give each kind of database, with our tables and nothing in them."""
    with made(request.param, tmp_path) as plain:
        yield plain


def line(run: int, event: str, time: float = 1000.0, **rest: Any) -> dict[str, Any]:
    first = {"workflow": "pi", "parameters": {"n": 1}, "folder": f"/r/{run}", "limit": 5, "versions": {}}
    return {"time": time, "run": f"r{run:03}", "event": event, **(first if event == "created" else {}), **rest}


def collect(plain: Plain, lines: list[Any], source: Source = SOURCE) -> dict[str, list[tuple[Any, ...]]]:
    collector = Collector(plain, source)
    collector.begin()
    collector.take(0, 1, lines)
    return everything(plain)


@st.composite
def lives(draw: st.DrawFn, run: int) -> list[dict[str, Any]]:
    """Draw what a desk may write of one run, in its order."""
    told = [line(run, "created")]
    attempt, seen = 0, 0
    while True:
        end = draw(st.sampled_from(["waits", "finished", "failed", "cancelled", "interrupted", "untold"]))
        if end == "waits":
            return told
        if end == "cancelled" and draw(st.booleans()):
            told.append(line(run, "cancelled", attempt=attempt))
        else:
            attempt += 1
            if draw(st.integers(0, 4)):
                told.append(line(run, "started", 1000.0 + attempt, attempt=attempt, worker="w", node="n", pid=7))
            for _ in range(draw(st.integers(0, 2))):
                seen += 1
                told.append(line(run, "corrected", 2000.0 + seen, attempt=attempt, seen=["a"], done=["b"]))
            if end == "untold":
                continue
            told.append(line(run, end, 3000.0 + attempt, attempt=attempt, seconds=1.5, error="e", result=attempt))
        if end == "finished" or (end in ENDED and draw(st.booleans())):
            return [*told, line(run, "removed")] if draw(st.integers(0, 3)) == 3 else told
        if end in ENDED:
            told.append(line(run, "restarted", 3500.0 + attempt))


@st.composite
def journals(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw the lines of several runs, woven into each other."""
    waiting = [draw(lives(run)) for run in range(draw(st.integers(1, 4)))]
    woven = []
    while waiting := [each for each in waiting if each]:
        woven.append(draw(st.sampled_from(waiting)).pop(0))
    return woven


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(st.data(), journals())
def test_any_cut_repetition_or_order_of_deliveries_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, lines: list[dict[str, Any]]
) -> None:
    with made("sqlite", tmp_path_factory.mktemp("at-once")) as plain:
        expected = collect(plain, lines)
    with made("sqlite", tmp_path_factory.mktemp("pieces")) as plain:
        collectors = [Collector(plain, SOURCE), Collector(plain, SOURCE)]
        for collector in collectors:
            collector.begin()
        pieces = [(0, 0)]
        for _ in range(data.draw(st.integers(0, 12))):
            begin = data.draw(st.integers(0, len(lines)))
            pieces.append((begin, data.draw(st.integers(begin, len(lines)))))
        for begin, end in pieces:
            data.draw(st.sampled_from(collectors)).take(begin, end, lines[begin:end])
        position = collectors[0].take(-1, -1, [])
        assert collectors[1].take(position, len(lines), lines[position:]) == len(lines)
        assert [row[1:] for row in everything(plain)["runs"]] == [row[1:] for row in expected["runs"]]
        assert everything(plain) == expected


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(journals())
def test_a_journal_that_is_read_again_from_its_begin_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]]
) -> None:
    with made("sqlite", tmp_path_factory.mktemp("again")) as plain:
        expected = collect(plain, lines)
        Collector(plain, SOURCE).rewind()
        assert collect(plain, [json.dumps(each) for each in lines]) == expected


def test_the_rows_say_what_was_told(plain: Plain) -> None:
    told = [
        line(1, "created", 1000.0, started_by="me@laptop", versions={"python": "3.11"}, workflow_version="2"),
        line(1, "started", 1001.0, attempt=1, worker="w1", node="n1", pid=11),
        line(1, "interrupted", 1002.0, attempt=1, reason="its worker was killed"),
        line(1, "started", 1003.0, attempt=2, worker="w2", node="n1", pid=12),
        line(1, "corrected", 1004.0, attempt=2, seen=["memory"], done=[{"nbands": 8}]),
        line(1, "finished", 1005.0, attempt=2, result={"x": float("nan")}, result_pickle="gAQu", seconds=2.0),
        line(2, "created"),
        line(2, "failed", 1009.0, attempt=1, error_type="ValueError", error="nul \x00, half \ud800", traceback="…"),
        line(3, "created"),
        {"time": 1, "event": "desk started"},
        '{"time": 1, "run": "r003", "event": "fin',
        line(3, "danced"),
        line(4, "finished", attempt=1),
    ]
    rows = collect(plain, told)
    assert [(row[0], row[2]) for row in rows["runs"]] == [("r001", "finished"), ("r002", "failed"), ("r003", "queued")]
    first = dict(zip(rows["columns"][0], rows["runs"][0], strict=True))
    assert first["created"] == 1000.0
    assert (first["started"], first["ended"], first["attempts"], first["corrections"]) == (1001.0, 1005.0, 2, 1)
    assert (first["worker"], bytes(first["result_pickle"])) == ("w2", b"\x80\x04.")
    second = dict(zip(rows["columns"][0], rows["runs"][1], strict=True))
    assert second["error"] == "nul \N{REPLACEMENT CHARACTER}, half ?"
    assert [row[:5] for row in rows["attempts"]] == [
        ("r001", 1, 1001.0, 1002.0, "interrupted"),
        ("r001", 2, 1003.0, 1005.0, "finished"),
        ("r002", 1, None, 1009.0, "failed"),
    ]
    assert len(rows["corrections"]) == 1


def test_an_outcome_is_not_replaced(plain: Plain) -> None:
    told = [line(1, "created"), line(1, "started", attempt=1), line(1, "finished", attempt=1, result=1)]
    expected = collect(plain, told)
    collector = Collector(plain, SOURCE)
    for number, event in enumerate(
        ("finished", "failed", "cancelled", "interrupted", "started", "restarted", "created")
    ):
        collector.take(1 + number, 2 + number, [line(1, event, 9999.0, attempt=2, result=2)])
    assert everything(plain)["runs"] == expected["runs"]


@pytest.mark.parametrize("end", ENDED)
@pytest.mark.parametrize("last", ["started", "interrupted"])
def test_an_end_counts_although_attempts_are_counted_from_1_again(plain: Plain, last: str, end: str) -> None:
    told = [line(1, "created")]
    for attempt in (1, 2):
        told += [line(1, event, 1000.0 + attempt, attempt=attempt) for event in ("started", "interrupted")]
    if last == "started":
        told.pop()
    # Their files are gone.
    told += [line(1, "interrupted", 1010.0, attempt=0), line(1, "started", 1011.0, attempt=1)]
    told.append(line(1, end, 1020.0, attempt=1, result=7))
    rows = collect(plain, told)
    run = dict(zip(rows["columns"][0], rows["runs"][0], strict=True))
    assert (run["state"], run["ended"], run["attempts"]) == (end, 1020.0, 2)
    if end == "finished":
        second = (end, 1020.0) if last == "started" else ("interrupted", 1002.0)
        assert [(row[4], row[3]) for row in rows["attempts"]] == [("interrupted", 1001.0), second]
    Collector(plain, SOURCE).rewind()
    assert collect(plain, told) == rows


@pytest.mark.parametrize("run", ["r002", "r002 \ud800"])
def test_a_run_that_the_database_refuses_keeps_no_other_from_its_rows(
    plain: Plain, run: str, caplog: pytest.LogCaptureFixture
) -> None:
    refused = {"run": run, "limit": 2**70}
    told = [
        line(1, "created"),
        {**line(2, "created"), **refused},
        line(3, "created"),
        line(1, "started", attempt=1),
        {**line(2, "started", attempt=1), **refused},
        line(3, "started", attempt=1, pid=2**70),
    ]
    collector = Collector(plain, SOURCE)
    collector.begin()
    assert collector.take(0, 6, told) == 6
    assert [(row[0], row[2]) for row in everything(plain)["runs"]] == [("r001", "running")]
    for left_out in (run, "r003"):
        assert f"run {left_out!r} of lab-box: what was told of it now is left out" in caplog.text
    more = [{**line(2, "finished", attempt=1), **refused}, line(1, "finished", attempt=1), line(4, "created")]
    assert collector.take(6, 9, more) == 9
    assert [(row[0], row[2]) for row in everything(plain)["runs"]] == [("r001", "finished"), ("r004", "queued")]


def test_what_is_no_fault_of_the_values_leaves_nothing_out(plain: Plain) -> None:
    collector = Collector(plain, SOURCE)
    collector.begin()
    plain.change("ALTER TABLE simmate_remote_attempts RENAME TO elsewhere")
    try:
        with pytest.raises(Exception, match="simmate_remote_attempts"):
            collector.take(0, 1, [line(1, "created")])
        assert collector.begin() == 0
    finally:
        plain.change("ALTER TABLE elsewhere RENAME TO simmate_remote_attempts")


def test_times_are_those_of_the_clock_here(plain: Plain) -> None:
    told = [line(1, "created", 5000.0), line(1, "started", 5001.0, attempt=1)]
    rows = collect(plain, told, SOURCE._replace(skew=3600.0))
    run = dict(zip(rows["columns"][0], rows["runs"][0], strict=True))
    assert (run["created"], run["started"]) == (1400.0, 1401.0)


def test_a_correction_that_is_read_again_is_the_same_although_the_clocks_are_compared_anew(plain: Plain) -> None:
    told = [line(1, "created", 5000.0), line(1, "corrected", 5001.0, attempt=1, seen=["a"], done=["b"])]
    for skew in (3600.0, 3600.5, 3599.0, 0.0):
        rows = collect(plain, told, SOURCE._replace(skew=skew))["corrections"]
        assert [row[:2] for row in rows] == [("r001", 5001.0)]
        Collector(plain, SOURCE).rewind()


def test_what_a_vanished_journal_told_of_is_lost_and_can_be_found_again(plain: Plain) -> None:
    told = [line(1, "created"), line(2, "created"), line(2, "started", attempt=1), line(2, "finished", attempt=1)]
    collect(plain, told)
    Collector(plain, SOURCE._replace(journal="j2")).begin()
    assert [row[2] for row in everything(plain)["runs"]] == ["lost", "finished"]
    again = Collector(plain, SOURCE)
    assert again.begin() == 1
    again.take(1, 2, [line(1, "started", attempt=1), line(1, "finished", attempt=1)])
    assert [row[2] for row in everything(plain)["runs"]] == ["finished", "finished"]


def test_a_run_belongs_to_the_journal_that_tells_of_it(plain: Plain) -> None:
    collect(plain, [line(1, "created"), line(2, "created"), line(2, "finished", attempt=1)])
    rows = collect(plain, [line(1, "created"), line(2, "created")], SOURCE._replace(journal="j2"))
    assert [row[1:3] for row in rows["runs"]] == [("j2", "interrupted"), ("j2", "finished")]


def test_a_run_whose_folder_is_gone_is_lost(plain: Plain) -> None:
    collect(plain, [line(1, "created"), line(2, "created"), line(2, "cancelled")])
    collector = Collector(plain, SOURCE)
    assert collector.unended() == ["r001"]
    assert collector.lose(["r001", "r002"]) == 1
    assert collector.unended() == []
    assert [row[2] for row in everything(plain)["runs"]] == ["lost", "cancelled"]


@pytest.mark.parametrize("before", TRANSITIONS)
@pytest.mark.parametrize("after", TRANSITIONS)
def test_the_database_holds_to_the_table_of_transitions(plain: Plain, before: str, after: str) -> None:
    collect(plain, [line(1, "created")])
    for state in [] if before == "queued" else way("queued", before) or []:
        plain.change("UPDATE simmate_remote_runs SET state = :state", {"state": state})
    refused: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if after not in TRANSITIONS[before] and after != before:
        refused = pytest.raises(Exception, match="cannot")
    with refused:
        plain.change("UPDATE simmate_remote_runs SET state = :state", {"state": after})


def test_the_database_takes_no_run_that_does_not_begin_at_the_begin(plain: Plain) -> None:
    Collector(plain, SOURCE).begin()
    with pytest.raises(Exception, match="begins as queued"):
        plain.change(
            "INSERT INTO simmate_remote_runs (id, journal, state, workflow, parameters, folder, versions, created)"
            " VALUES ('x', 'j1', 'finished', 'w', '{}', '', '{}', 0)"
        )
