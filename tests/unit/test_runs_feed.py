"""What a desk tells whoever listens to runs: each report once, and none of an attempt that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.live import Live
from simmate_remote.runs.host.news import News
from simmate_remote.runs.host.store import RunStore
from simmate_remote.workflows.run_tasks import Counts, RunTasks

LIMIT = 5.0
ENDED = "01a22438-0000-7754-9a55-651bb40d8600"


class Desk:
    """As much of a desk as its news need, with one run.

    Args:
        folder: For runs.
    """

    def __init__(self, folder: Path) -> None:
        self.run = Live(RunFolder(folder / "run-1"), "relax", "", None)
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.news = News(RunStore(folder), {"run-1": self.run}, self._in_thread)

    async def _in_thread(self, _: Callable[[], Any]) -> Any:
        """Let time pass while the files of runs that have ended are read."""
        self.asked.set()
        await self.go.wait()
        return {}

    def begin(self, attempt: int) -> None:
        self.run.begin({"attempt": attempt, "began": 0.0, "name": "w", "worker": "tls://w"})
        self.news.begun(self.run)

    def report(self, **about: Any) -> None:
        if self.run.report({"run": "run-1", **about}):
            self.news.report("run-1", {"run": "run-1", **about})


async def test_what_is_reported_while_somebody_begins_to_listen_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.begin(1)
    desk.report(added={"energy": 1})
    events = desk.news.events(["run-1", ENDED])
    first = asyncio.ensure_future(anext(events))
    await desk.asked.wait()
    desk.report(added={"energy": 1})
    desk.report(key="energy-1", name="energy", state="finished")
    desk.go.set()
    items = [await asyncio.wait_for(first, LIMIT)]
    desk.report(key="energy-2", name="energy", state="finished")
    # Its story in two reports, that all of it has been told, and what came afterwards.
    items += [await asyncio.wait_for(anext(events), LIMIT) for _ in range(4)]
    tasks = RunTasks()
    for item in items:
        if "report" in item:
            tasks.take(item["report"])
    assert tasks.counts() == {"energy": Counts(started=2, finished=2)}


async def test_who_is_slow_hears_nothing_of_an_attempt_that_is_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.news.feed(["run-1"]) as feed:
        for attempt in (1, 2):
            desk.begin(attempt)
            desk.report(added={"energy": 2})
            desk.report(key=f"energy-{attempt}", name="energy", state="running")
        items = feed.items()
        told = [await asyncio.wait_for(anext(items), LIMIT) for _ in range(3)]
    assert [each["status"]["attempt"] for each in told if "status" in each] == [2]
    reports = [each["report"] for each in told if "report" in each]
    assert [each.get("added") or each["key"] for each in reports] == [{"energy": 2}, "energy-2"]


async def test_what_tasks_of_a_dead_attempt_report_is_not_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.begin(1)
    desk.report(execution="first", added={"energy": 1})
    desk.begin(2)
    with desk.news.feed(["run-1"]) as feed:
        desk.report(execution="first", key="energy-1", name="energy", state="finished")
        desk.report(execution="second", added={"energy": 1})
        desk.report(execution="first", key="energy-1", name="energy", state="finished")
        desk.report(execution="second", key="energy-2", name="energy", state="running")
        items = feed.items()
        told = [(await asyncio.wait_for(anext(items), LIMIT))["report"] for _ in range(2)]
    assert [each.get("added") or each["key"] for each in told] == [{"energy": 1}, "energy-2"]
    assert [each.get("added") or each["key"] for each in desk.run.story()] == [{"energy": 1}, "energy-2"]
