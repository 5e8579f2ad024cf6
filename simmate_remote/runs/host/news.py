"""What the desk tells: how runs stand, what they report, and how they end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from simmate_remote.errors import RunError, RunNotFoundError, SimmateRemoteError
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.live import Feed, Live
from simmate_remote.runs.host.outcome import RunOutcome
from simmate_remote.runs.host.store import RunStore

SMALL = 4 * 1024
"""Characters of an outcome that are kept for a listener who does not take them yet."""


class News:
    """Tells whoever listens.

    Args:
        store: Where the runs are.
        live: The runs that have not ended.
        in_thread: Does something with files beside the event loop.

    Attributes:
        workers: How many workers there are.
    """

    def __init__(
        self,
        store: RunStore,
        live: Mapping[str, Live],
        in_thread: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._store = store
        self._live = live
        self._in_thread = in_thread
        self._feeds: dict[str, set[Feed]] = {}
        self._events: set[Feed] = set()
        self.workers = 0

    def report(self, run: str, about: dict[str, Any]) -> None:
        """Tell what a run, or a task of it, has reported."""
        for feed in self._feeds.get(run, ()):
            feed.put_report(run, about)

    def status_changed(self, live: Live) -> None:
        """Tell how a run stands."""
        for feed in self._feeds.get(live.id, ()):
            feed.put(live.id, "status", {"run": live.id, "status": live.status()})

    def begun(self, live: Live) -> None:
        """Tell that an attempt of a run has begun, and nothing more of what the one before has reported."""
        for feed in self._feeds.get(live.id, ()):
            feed.forget_reports(live.id)
        self.status_changed(live)

    def count_workers(self, number: int) -> None:
        """Tell how many workers there are."""
        self.workers = number
        for feed in self._events:
            feed.put("", "workers", {"workers": number})

    def ended(self, outcome: RunOutcome) -> None:
        """Tell how a run has ended; a listener may be away for a night, so what is large waits in the run's folder."""
        small = sum(map(len, (outcome.result or "", outcome.printed, *(outcome.error or {}).values()))) <= SMALL
        item = {"run": outcome.run, "ended": _as_status(outcome)["status"], "outcome": outcome if small else None}
        for feed in self._feeds.get(outcome.run, ()):
            feed.put(outcome.run, "ended", item)

    async def status(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Say how runs stand; those that are not there are left out."""
        ended = [identity for identity in ids if identity not in self._live]
        found = {identity: self._live[identity].status() for identity in ids if identity in self._live}

        def read() -> dict[str, dict[str, Any]]:
            outcomes = ((identity, _ending(self._store, identity)) for identity in ended)
            return {
                identity: {"state": outcome.state, "attempt": outcome.attempt, "worker": outcome.worker}
                for identity, outcome in outcomes
                if outcome is not None
            }

        return found | (await self._in_thread(read) if ended else {})

    async def outcomes(self, ids: Iterable[str]) -> AsyncIterator[RunOutcome]:
        """Yield how runs end, as they do; those that are not there have failed."""
        waiting = set(ids)
        with self.feed(waiting) as feed:
            ended = waiting - self._live.keys()
            for identity in sorted(ended):
                outcome = await self._in_thread(partial(_ending, self._store, identity))
                if outcome is None and identity in self._live:
                    continue  # it was started again meanwhile
                waiting.discard(identity)
                yield outcome or _gone(self._store.run(identity))
            async for item in feed.items() if waiting else _nothing():
                if "ended" not in item or item["run"] not in waiting:
                    continue
                outcome = item["outcome"] or await self._in_thread(partial(_ending, self._store, item["run"]))
                if outcome is None and item["run"] in self._live:
                    continue  # it was started again meanwhile
                waiting.discard(item["run"])
                yield outcome or _gone(self._store.run(item["run"]))
                if not waiting:
                    return

    async def events(self, ids: Iterable[str]) -> AsyncIterator[dict[str, Any]]:
        """Yield how runs stand and what they report, first what has been until now; for ever."""
        wanted = list(ids)
        with self.feed(wanted) as feed:
            self._events.add(feed)
            try:
                statuses = await self.status(wanted)
                # From here to the first `yield` nothing else happens: what is in the story does not come once more.
                living = [self._live[identity] for identity in wanted if identity in self._live]
                statuses |= {live.id: live.status() for live in living}
                stories = [{"run": live.id, "report": report} for live in living for report in live.story()]
                for live in living:
                    feed.forget_reports(live.id)
                for identity, status in statuses.items():
                    yield {"run": identity, "status": status}
                for item in stories:
                    yield item
                yield {"workers": self.workers, "begun": True}
                async for item in feed.items():
                    yield {"run": item["run"], "status": item["ended"]} if "ended" in item else item
            finally:
                self._events.discard(feed)

    @contextlib.contextmanager
    def feed(self, ids: Iterable[str]) -> Iterator[Feed]:
        """Listen to news of some runs for the time of a block."""
        feed, listened = Feed(), list(ids)
        for identity in listened:
            self._feeds.setdefault(identity, set()).add(feed)
        try:
            yield feed
        finally:
            for identity in listened:
                self._feeds[identity].discard(feed)
                if not self._feeds[identity]:
                    del self._feeds[identity]


def read_ending(folder: RunFolder, round_: int) -> RunOutcome | Exception | None:
    """Read how a run has ended; None: it has not; an exception: that cannot be read."""
    try:
        return folder.outcome(round_)
    except (RunError, OSError) as error:
        return error


def in_words(error: BaseException) -> dict[str, str]:
    """Give an exception of ours, or of the system, as an outcome's error."""
    text = error.what if isinstance(error, SimmateRemoteError) else str(error)
    return {"type": type(error).__name__, "text": text, "traceback": "", "pickled": ""}


def _as_status(outcome: RunOutcome) -> dict[str, Any]:
    about = {"state": outcome.state, "attempt": outcome.attempt, "worker": outcome.worker}
    return {"run": outcome.run, "status": about}


def _ending(store: RunStore, identity: str) -> RunOutcome | None:
    """Read how a run that is not live has ended; None: it is not there."""
    folder = store.run(identity)
    outcome = read_ending(folder, folder.round())
    if isinstance(outcome, Exception):
        return RunOutcome(identity, "failed", error=in_words(outcome))
    return outcome


def _gone(folder: RunFolder) -> RunOutcome:
    error = RunNotFoundError(f"there is no run {folder.id}, or its folder is gone: {folder.path}")
    return RunOutcome(folder.id, "failed", error=in_words(error))


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    nothing: tuple[dict[str, Any], ...] = ()
    for item in nothing:
        yield item
