"""Finding runs: filters, pages, parts of ids."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.database.plain import Plain
from simmate_remote.errors import RunNotFoundError
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.listing import Filter, find_run, list_runs, read_run, since_when
from tests.unit.run_rows import database_kinds, made

IDS = [f"01900000-0000-7000-8000-0000{number:08x}" for number in range(1, 7)]
OTHER = "01900000-0000-7000-8000-000000000fff"


@pytest.fixture(params=database_kinds())
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plain]:
    """Give each kind of database, with six runs on two hosts."""
    with made(request.param, tmp_path) as plain:
        for number, host in enumerate(("lab-box", "cluster")):
            collector = Collector(plain, Source(f"j{number}", host, host, "/r"))
            collector.begin()
            collector.take(0, 1, [each for run in IDS[number::2] for each in story(run, IDS.index(run))])
        yield plain


def story(run: str, number: int) -> list[dict[str, Any]]:
    told = [{"event": "created", "workflow": f"relax_{number % 3}", "parameters": {"n": number}, "folder": "/r"}]
    if number > 0:
        told.append({"event": "started", "attempt": 1, "worker": "w"})
    if number > 1:
        told.append({"event": "corrected", "attempt": 1, "seen": ["x"], "done": ["y"]})
        end = "failed" if number % 2 else "finished"
        told.append({"event": end, "attempt": 1, "error": "100% wrong", "traceback": "…", "result": {"e": 1.5}})
    return [{"time": 1000.0 * (number + 1) + step, "run": run, **each} for step, each in enumerate(told)]


def listed(plain: Plain, **wanted: Any) -> list[int]:
    return [IDS.index(run["id"]) for run in list_runs(plain, Filter(**wanted))]


def test_runs_are_listed_with_the_newest_first(plain: Plain) -> None:
    assert listed(plain) == [5, 4, 3, 2, 1, 0]
    assert listed(plain, limit=2) == [5, 4]
    assert listed(plain, limit=2, before=IDS[4]) == [3, 2]
    newest = next(list_runs(plain, Filter()))
    assert (newest["host"], newest["state"]) == ("cluster", "failed")
    assert (newest["parameters"], newest["corrections"]) == ({"n": 5}, 1)


def test_filters_go_together(plain: Plain) -> None:
    assert listed(plain, states=("failed",)) == [5, 3]
    assert listed(plain, states=("queued", "running")) == [1, 0]
    assert listed(plain, on=("lab-box",)) == [4, 2, 0]
    assert listed(plain, on=("lab-box", "cluster"), states=("finished",)) == [4, 2]
    assert listed(plain, on=("nowhere",)) == []
    assert listed(plain, workflow="relax_1") == [4, 1]
    assert listed(plain, workflow="relax*") == [5, 4, 3, 2, 1, 0]
    assert listed(plain, workflow="rel_x*") == []
    assert listed(plain, since=4000.0, on=("cluster",)) == [5, 3]


def test_a_part_of_an_id_is_enough_if_only_one_has_it(plain: Plain) -> None:
    assert find_run(plain, IDS[0]) == IDS[0]
    assert find_run(plain, "00000003") == IDS[2]
    assert find_run(plain, " 0003 ") == IDS[2]
    with pytest.raises(RunNotFoundError, match="more than one"):
        find_run(plain, "01900000")
    with pytest.raises(RunNotFoundError, match="too short"):
        find_run(plain, "3")
    for nothing in ("ffff", "%%%%", "____", "'; --"):
        with pytest.raises(RunNotFoundError, match="there is no run"):
            find_run(plain, nothing)


def test_all_of_a_run_can_be_read(plain: Plain) -> None:
    run = read_run(plain, IDS[3])
    assert (run["host"], run["error"], run["traceback"]) == ("cluster", "100% wrong", "…")
    assert run["all_corrections"] == [{"told": 4002.0, "attempt": 1, "seen": ["x"], "done": ["y"]}]
    assert [(each["attempt"], each["how"]) for each in run["all_attempts"]] == [(1, "failed")]
    with pytest.raises(RunNotFoundError):
        read_run(plain, IDS[3][:-1])


def test_what_is_read_of_a_run_has_all_times_by_the_clock_here(plain: Plain) -> None:
    ahead = Collector(plain, Source("j2", "ahead", "ahead", "/r", skew=3600.0))
    ahead.begin()
    ahead.take(0, 1, [{**each, "time": each["time"] + 3600.0} for each in story(OTHER, 3)])
    run = read_run(plain, OTHER)
    assert [run["created"], run["started"], run["all_corrections"][0]["told"], run["ended"]] == [
        4000.0,
        4001.0,
        4002.0,
        4003.0,
    ]


def test_a_moment_is_how_long_ago_or_a_date() -> None:
    assert since_when("2 h", 10000.0) == 2800.0
    assert since_when("2026-11-27 14:00", 0) == time.mktime((2026, 11, 27, 14, 0, 0, 0, 0, -1))
    assert since_when("2026-11-27", 0) == time.mktime((2026, 11, 27, 0, 0, 0, 0, 0, -1))
    with pytest.raises(ValueError, match="neither"):
        since_when("yesterday", 0)
