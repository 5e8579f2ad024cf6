"""Following a desk: rows come by themselves, though a database dies, a clock is off, folders vanish."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simmate_remote.database.plain import Plain, open_plain
from simmate_remote.errors import DatabaseUnreachableError, FolderFullError, KeeperError
from simmate_remote.runs import following
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.following import Follower
from simmate_remote.runs.news import news_in_words
from tests.unit.run_rows import configuration, everything, made

PIECE = 3
"""Lines that the desk tells at once."""


class PlayedDesk:
    """A desk whose journal counts lines instead of bytes."""

    def __init__(self, journal: str = "j1", ahead: float = 0.0) -> None:
        self.name = journal
        self.ahead = ahead
        self.lines: list[dict[str, Any]] = [{"journal": journal, "version": 1}]
        self.gone: set[str] = set()
        self.full: set[str] = set()
        self.cancelled: list[str] = []
        self.news = asyncio.Event()
        self.ended = False

    def write(self, *lines: dict[str, Any]) -> None:
        self.lines += [{"time": time.time() + self.ahead, **each} for each in lines]
        self.news.set()
        self.news = asyncio.Event()

    async def describe(self) -> dict[str, Any]:
        about = {"journal": self.name, "folder": "/runs", "time": time.time() + self.ahead}
        return {**about, "end": len(self.lines)}

    async def journal(self, offset: int, *, follow: bool) -> AsyncGenerator[dict[str, Any], None]:
        while True:
            lines = self.lines[offset : offset + PIECE]
            if lines:
                offset += len(lines)
                yield {"offset": offset, "lines": lines}
            elif self.ended:
                raise KeeperError("the scheduler is gone")
            else:
                await self.news.wait()

    async def status(self, ids: Sequence[str]) -> dict[str, Any]:
        return {run: {"state": "running"} for run in ids if run not in self.gone}

    async def cancel(self, run: str) -> str:
        if run in self.full:
            raise FolderFullError("there is no space", meanwhile="nothing was changed")
        self.cancelled.append(run)
        return "cancelled"


@pytest.fixture(autouse=True)
def lines_for_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first line alone be an empty journal."""
    monkeypatch.setattr(following, "EMPTY", 1)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Plain]:
    """Give the database, to look at."""
    with made("sqlite", tmp_path) as plain:
        yield plain


@contextlib.asynccontextmanager
async def followed(desk: PlayedDesk, tmp_path: Path, opened: Any = None) -> AsyncIterator[Follower]:
    """Follow a desk for the block."""
    follower = Follower(desk, "lab-box", "lab", opened or (lambda: open_plain(configuration("sqlite", tmp_path))))
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the rows have no event
            await asyncio.sleep(0.01)


def a_run(number: int, *events: str) -> list[dict[str, Any]]:
    created = {"run": f"r{number}", "event": "created", "workflow": "pi", "parameters": {}, "folder": "/r"}
    return [created, *({"run": f"r{number}", "event": each, "attempt": 1, "error": "a\nb\nc"} for each in events)]


def states(rows: Plain) -> dict[str, str]:
    return dict(rows.rows("SELECT id, state FROM simmate_remote_runs"))


async def test_rows_come_as_the_journal_grows(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started", "finished"), *a_run(2, "started"))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        assert states(rows) == {"r1": "finished", "r2": "running"}
        desk.write({"run": "r2", "event": "failed", "attempt": 1}, *a_run(3))
        await until(lambda: states(rows) == {"r1": "finished", "r2": "failed", "r3": "queued"})


async def test_without_any_run_the_database_is_not_opened(tmp_path: Path) -> None:
    async with followed(PlayedDesk(), tmp_path, pytest.fail) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        assert await follower.news(1) is None


async def test_two_followers_of_one_database_write_each_line_once(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk()
    async with followed(desk, tmp_path), followed(desk, tmp_path):
        for number in range(30):
            desk.write(*a_run(number, "started", "corrected", "finished"))
            await asyncio.sleep(0)
        await until(lambda: list(states(rows).values()) == ["finished"] * 30)
    assert len(everything(rows)["attempts"]) == len(everything(rows)["corrections"]) == 30


async def test_a_database_that_is_gone_is_caught_up_with(
    rows: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.01)
    tried = 0

    def opened() -> Plain:
        nonlocal tried
        tried += 1
        if tried < 4:
            raise DatabaseUnreachableError("it is gone")
        return open_plain(configuration("sqlite", tmp_path))

    desk = PlayedDesk()
    async with followed(desk, tmp_path, opened) as follower:
        desk.write(*a_run(1, "started", "finished"))
        await until(lambda: follower.trouble is not None)
        await until(lambda: states(rows) == {"r1": "finished"})
        assert follower.trouble is None
    assert tried == 4


async def test_a_journal_that_grew_since_we_came_is_not_read_again_when_the_database_dies(
    rows: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(Collector, "rewind", pytest.fail)
    take = Collector.take
    dying = False

    def taken(collector: Collector, begin: int, end: int, lines: list[Any]) -> int:
        nonlocal dying
        if dying:
            dying = False
            raise DatabaseUnreachableError("it is gone")
        return take(collector, begin, end, lines)

    monkeypatch.setattr(Collector, "take", taken)
    desk = PlayedDesk()
    desk.write(*a_run(1))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        desk.write(*a_run(2, "started", "failed"), {"run": "r2", "event": "restarted"}, *a_run(3))
        await asyncio.wait_for(follower.reach_end(), 20)
        dying = True
        desk.write({"run": "r3", "event": "cancelled"})
        await until(lambda: states(rows) == {"r1": "queued", "r2": "queued", "r3": "cancelled"})
    assert not dying
    assert "shorter" not in caplog.text


async def test_what_another_session_collects_while_the_database_is_opened_is_not_taken_for_a_shorter_journal(
    rows: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Collector, "rewind", pytest.fail)
    desk = PlayedDesk()
    desk.write(*a_run(1))

    def opened() -> Plain:
        if len(desk.lines) == 2:
            desk.lines += [{"time": 1.0, **each} for each in a_run(2)]
            other = Collector(rows, Source("j1", "lab-box", "lab", "/runs"))
            other.take(other.begin(), len(desk.lines), desk.lines)
        return open_plain(configuration("sqlite", tmp_path))

    async with followed(desk, tmp_path, opened) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        assert states(rows) == {"r1": "queued", "r2": "queued"}


async def test_a_clock_that_is_an_hour_off_does_not_show_in_the_rows(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk(ahead=3600.0)
    desk.write(*a_run(1, "started"))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    created = rows.row("SELECT created FROM simmate_remote_runs")
    assert created is not None
    assert abs(created[0] - time.time()) < 60


async def test_an_answer_that_took_long_does_not_say_what_time_it_is_there(
    rows: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone_by = 0.0

    class BusyAtFirst(PlayedDesk):
        """Looks at its clock, and answers 40 s later when it is asked for the first time."""

        async def describe(self) -> dict[str, Any]:
            nonlocal gone_by
            about = await super().describe()
            about["time"] += gone_by
            gone_by = 40.0
            return about

    monkeypatch.setattr(following, "time", SimpleNamespace(time=lambda: time.time() + gone_by))
    desk = BusyAtFirst(ahead=3600.0)
    desk.write(*a_run(1, "started"))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    found = rows.row("SELECT skew FROM simmate_remote_journals")
    assert found is not None
    assert found[0] == pytest.approx(3600, abs=2)


async def test_runs_whose_folders_are_not_found_are_lost_until_they_are(
    rows: Plain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started"), *a_run(2), *a_run(3, "finished"))
    desk.gone = {"r1", "r3"}
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    assert states(rows) == {"r1": "lost", "r2": "queued", "r3": "finished"}
    assert "1 runs are lost: lab-box does not find their folders, or cannot read them" in caplog.text
    desk.gone = set()
    desk.write({"run": "r1", "event": "started", "attempt": 2})
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    assert states(rows)["r1"] == "running"


async def test_what_was_to_be_cancelled_meanwhile_is_told_to_the_host(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started"), *a_run(2, "finished"), *a_run(3))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    rows.change("UPDATE simmate_remote_runs SET cancel_asked = 1 WHERE id <> 'r3'")
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        assert desk.cancelled == ["r1"]
        rows.change("UPDATE simmate_remote_runs SET cancel_asked = 1 WHERE id = 'r3'")
        await follower.deliver()
        assert desk.cancelled == ["r1", "r1", "r3"]
        desk.write({"run": "r1", "event": "cancelled", "attempt": 1})
        await until(lambda: states(rows)["r1"] == "cancelled")
    assert rows.row("SELECT cancel_asked FROM simmate_remote_runs WHERE id = 'r1'") == (None,)


async def test_what_cannot_be_cancelled_keeps_nothing_else_from_it(
    rows: Plain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started"), *a_run(2, "started"))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    rows.change("UPDATE simmate_remote_runs SET cancel_asked = 1")
    desk.full = {"r1"}
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        assert desk.cancelled == ["r2"]
    assert "run r1 cannot be cancelled: there is no space" in caplog.text


async def test_a_journal_that_is_shorter_than_it_was_is_read_again(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started", "finished"), *a_run(2))
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
    del desk.lines[3:]
    async with followed(desk, tmp_path) as follower:
        await asyncio.wait_for(follower.caught_up.wait(), 20)
        desk.write(*a_run(3, "finished"))
        await until(lambda: states(rows).get("r3") == "finished")
    assert states(rows)["r1"] == "finished"


async def test_what_became_of_runs_is_told_once(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started", "corrected", "finished"), *a_run(2, "failed"), *a_run(3, "started"))
    async with followed(desk, tmp_path) as follower:
        news = await follower.news(20)
        assert news is not None
        assert news_in_words(news, "yesterday") == [
            "since yesterday: 1 finished, 1 failed; 1 of them were corrected on the way",
            "failed: pi (r2): b",
            "c",
            "still 1 running",
        ]
        again = await follower.news(20)
        assert again is not None
        assert news_in_words(again, "") == []


@pytest.fixture
def interrupted() -> None:
    """Have four runs of a program here that has ended without a word."""
    program = (
        "from simmate_remote.runs.host.spec import Spec\n"
        "from simmate_remote.runs.identity import new_id\n"
        "from simmate_remote.runs.recording import record\n"
        "record([Spec(new_id(), 'double') for _ in range(4)], 'serial')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)


@pytest.mark.usefixtures("interrupted")
async def test_what_was_interrupted_here_is_told_along_with_it(rows: Plain, tmp_path: Path) -> None:
    desk = PlayedDesk()
    desk.write(*a_run(1, "started"))
    async with followed(desk, tmp_path) as follower:
        news = await follower.news(20)
        assert news is not None
        lines = news_in_words(news, "")
        assert len(lines) == 4
        assert lines[0].startswith("interrupted here, with its program: double; simmate-remote runs restart ")
        assert lines[3] == "interrupted here: 1 more; simmate-remote runs list --on here --state interrupted"
        again = await follower.news(20)
        assert again is not None
        assert news_in_words(again, "") == []


async def test_the_end_of_the_desk_is_told(tmp_path: Path) -> None:
    desk = PlayedDesk()
    desk.ended = True
    with pytest.raises(KeeperError, match="scheduler"):
        await Follower(desk, "lab-box", "lab", pytest.fail).follow()
