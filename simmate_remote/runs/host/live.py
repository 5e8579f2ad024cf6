"""A run that has not ended, as the desk knows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from simmate_remote.runs.host.executions import Executions
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.spec import Spec

REPORTS_KEPT = 2000
"""Reports of a run's tasks that are told to whoever begins to listen; of very many, the first are lost."""


@dataclass
class Live:
    """One run that waits, or is executed.

    Args:
        folder: Its folder.
        name: What runs, as people call it.
        program: What executes it.
        code: The own code that it needs.
        round: The round that is to be ended.
        state: How it stands.
        attempt: The last attempt that is known to have begun; 0: none.
        worker: The name of the worker that has it.
        address: That worker's address.
        began: When that attempt began, by the host's clock.
        key: The key of its task.
        future: Its task, while there is one.
        failed: Whether that has ended with an error, and not with an answer.
        progress: What its function has last reported.
        reports: What its tasks have last reported, by their keys.
        added: How many tasks of each name it has submitted.
        executions: Whose reports still count.
    """

    folder: RunFolder
    name: str
    program: str
    code: str | None
    round: int = 0
    state: Literal["queued", "running", "interrupted"] = "queued"
    attempt: int = 0
    worker: str = ""
    address: str = ""
    began: float = 0.0
    key: str = ""
    future: Any = None
    failed: bool = False
    progress: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    executions: Executions = field(default_factory=Executions)

    @classmethod
    def of(cls, folder: RunFolder, spec: Spec, round_: int = 0) -> Live:
        """Take over what a run is."""
        return cls(folder, spec.workflow, spec.program, spec.code, round_)

    @property
    def id(self) -> str:
        """The run's."""
        return self.folder.id

    def lasted(self) -> float:
        """Say for how many seconds an attempt is under way; 0: none is."""
        return max(0.0, time.time() - self.began) if self.state == "running" else 0.0

    def status(self) -> dict[str, Any]:
        """Say how it stands."""
        return {
            "state": self.state,
            "attempt": self.attempt,
            "worker": self.worker,
            "began": self.began,
            **{name: self.progress[name] for name in ("done", "total", "text") if name in self.progress},
        }

    def begin(self, about: dict[str, Any]) -> None:
        """Take note of an attempt that has begun."""
        self.state, self.attempt, self.began = "running", about["attempt"], about["began"]
        self.worker, self.address = about["name"], about["worker"]
        self.progress, self.reports, self.added = {}, {}, {}
        self.executions.end_latest()

    def report(self, about: dict[str, Any]) -> bool:
        """Keep what it, or a task of it, has reported; give whether that counts."""
        if self.executions.is_over(about):
            return False
        self.executions.begins(about)
        if "added" in about:
            for name, count in about["added"].items():
                self.added[name] = self.added.get(name, 0) + count
        elif about.get("key") == self.id:
            self.progress = about
        else:
            self.reports[str(about.get("key"))] = about
            if len(self.reports) > REPORTS_KEPT:
                del self.reports[next(iter(self.reports))]
        return True

    def story(self) -> Iterable[dict[str, Any]]:
        """Yield what has been reported so far, as far as it is still true."""
        if self.added:
            yield {"run": self.id, "added": dict(self.added)}
        if self.progress:
            yield self.progress
        yield from self.reports.values()


_REPORTED = ("report ", "added")
"""How the keys of a feed begin that hold reports."""


class Feed:
    """News of some runs for one listener, who may be slow: of what is not taken yet, only the last word is kept."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str], dict[str, Any]] = {}
        self._news = asyncio.Event()

    def put(self, run: str, key: str, item: dict[str, Any]) -> None:
        """Tell something about a run.

        Args:
            run: Its id.
            key: What replaces what.
            item: The news.
        """
        self._pending.pop((run, key), None)  # the last word also comes last
        self._pending[run, key] = item
        self._news.set()

    def put_report(self, run: str, about: dict[str, Any]) -> None:
        """Tell what a run, or a task of it, has reported."""
        if "added" not in about:
            self.put(run, f"report {about.get('key')}", {"run": run, "report": about})
            return
        before = self._pending.get((run, "added"), {"report": {"added": {}}})["report"]["added"]
        names = {*before, *about["added"]}
        added = {name: before.get(name, 0) + about["added"].get(name, 0) for name in names}
        self.put(run, "added", {"run": run, "report": {"run": run, "added": added}})

    def forget_reports(self, run: str) -> None:
        """Drop the reports of a run that were not taken: they are told otherwise, or no longer true."""
        for key in [key for key in self._pending if key[0] == run and key[1].startswith(_REPORTED)]:
            del self._pending[key]

    async def items(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the news, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._pending:
                yield self._pending.pop(next(iter(self._pending)))
