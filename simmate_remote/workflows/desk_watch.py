"""How runs at a host's desk go, for whoever began them together: one connection, and each word of the desk once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from simmate_remote.errors import Remedy, SimmateRemoteError, error_from_dict, error_to_dict
from simmate_remote.workflows.run_tasks import RunTasks, TaskReport
from simmate_remote.workflows.watching import State, Update

if TYPE_CHECKING:
    from simmate_remote.inventory.models import Host

INLINE = 64 * 1024
"""Bytes of a result that comes with the news of its run's end; a larger one is fetched when somebody wants it."""

Ended = Literal["finished", "failed", "cancelled"]

_BEGIN_LIMIT = 30.0
_SETTLE_LIMIT = 2.0
"""Seconds; what is shown is worth no more."""
_STATES: dict[str, State] = {"queued": "waiting", "interrupted": "waiting", "running": "running"}


@runtime_checkable
class RunDesk(Protocol):
    """A host's desk, as :class:`simmate_remote.session.desk.Desk` is."""

    @property
    def host(self) -> Host:
        """The host."""

    @property
    def name(self) -> str:
        """What the user calls the host."""

    def again(self) -> RunDesk:
        """Give the desk that is there now, after the connection to this one has ended."""

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Ask it something."""

    def create(self, specs: Iterable[Any], blobs: Any) -> dict[str, str]:
        """Hand runs over."""

    def fetch(self, run: str, path: str, sha256: str = "") -> bytes:
        """Give the content of a file in a run's folder."""

    def blob(self, digest: str) -> bytes:
        """Give what runs share."""

    def follow(
        self, name: str, ids: Iterable[str], take: Callable[[dict[str, Any]], None], **further: Any
    ) -> Future[None]:
        """Let news be taken as they come."""


class DeskWatch:
    """Gathers what a desk tells of some runs.

    Args:
        desk: The desk.
        ids: The runs'.

    Attributes:
        desk: The desk.
        host: What the user calls the host.
        news: Set whenever there is something new.
    """

    def __init__(self, desk: RunDesk, ids: Iterable[str]) -> None:
        self.desk = desk
        self.host = desk.name
        self.news = threading.Event()
        self._ids = frozenset(ids)
        self._unfinished = set(self._ids)
        self._whole: set[str] = set()  # those of which there is nothing more to be heard
        self._states: dict[str, Ended] = {}
        self._endings: dict[str, dict[str, Any]] = {}
        self._updates: dict[str, Update] = {}
        self._parts: dict[str, RunTasks] = {}
        self._workers = 0
        self._changed = threading.Condition()
        self._gone: BaseException | None = None
        self._told = False  # whether somebody who waited has heard why
        self._listening: Future[None] | None = None
        self._begun = threading.Event()
        self._begin()

    def ending(self, run: str) -> Ended | None:
        """Say how a run has ended, as far as the desk has told; None: it has not."""
        with self._changed:
            return self._states.get(run)

    def wait(self, run: str, timeout: float | None) -> dict[str, Any] | None:
        """Wait until a run has ended, and give the desk's words of it; None: it has not by then.

        They are given to whoever asks, until :meth:`drop`; afterwards they are empty.

        Raises:
            SimmateRemoteError: The desk is gone, and what that means for the run.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if self.ending(run) is None:
            self._come_back_for(run)
        with self._changed:
            while run not in self._states:
                if self._gone is not None:
                    self._told = True
                    raise _not_lost(self._gone, run, self.host)
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return self._endings.get(run, {})

    def drop(self, run: str) -> None:
        """Keep no longer what the desk has said of the end of a run: somebody has read it, and keeps that."""
        with self._changed:
            self._endings.pop(run, None)

    def living(self) -> RunDesk:
        """Give the desk that is there now, also where nothing is unfinished any more that it would tell of.

        Raises:
            SimmateRemoteError: There is none.
        """
        return self.desk.again()

    def listen(self) -> None:
        """Take what the runs report, too, from now on, and what they have reported so far."""
        self._come_back()
        with self._changed:
            if self._listening is None and self._unfinished:
                self._begun.clear()
                for parts in self._parts.values():
                    parts.begin_again()
                self._listening = self.desk.follow("events", list(self._unfinished), self._take_event)
                self._listening.add_done_callback(self._heard)
        self._begun.wait(_BEGIN_LIMIT)

    def settle(self, run: str) -> None:
        """Wait, not for long, for what a run has reported before its end: that goes another way than its end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._hears_more({run}), _SETTLE_LIMIT)

    def close(self) -> None:
        """Listen no longer to what the runs report."""
        with self._changed:
            if self._listening is not None:
                self._listening.cancel()
                self._listening = None

    def latest(self, run: str) -> Update:
        """Give what is known of a run."""
        with self._changed:
            update = replace(self._updates.get(run, Update()), workers=self._workers)
            if run not in self._unfinished:
                return replace(update, state="finished")
            if update.state == "waiting" and not self._workers and self._begun.is_set():
                return replace(update, state="no worker")
            return update

    def tasks(self, run: str) -> RunTasks:
        """Give the parts of a run."""
        with self._changed:
            return self._parts.setdefault(run, RunTasks())

    def use(self, run: str, tasks: RunTasks) -> None:
        """Let the parts of a run be gathered by somebody's own."""
        with self._changed:
            self._parts[run] = tasks

    def _begin(self) -> None:
        following = self.desk.follow("outcomes", list(self._unfinished), self._take_ending, inline=INLINE)
        following.add_done_callback(self._followed)

    def _come_back(self) -> None:
        """Follow the desk again, if it was gone and there is one again."""
        with self._changed:
            gone, unfinished = self._gone, bool(self._unfinished)
        if gone is None or not unfinished:
            return
        self.desk = self.desk.again()
        with self._changed:
            self._gone, self._told, self._listening = None, False, None
        self._begin()

    def _come_back_for(self, run: str) -> None:
        """Do the same for somebody who waits, and hears first why the desk went, and only then that there is none."""
        try:
            self._come_back()
        except SimmateRemoteError as error:
            with self._changed:
                reason = error if self._told or self._gone is None else self._gone
                self._told = True
            raise _not_lost(reason, run, self.host) from error

    def _followed(self, following: Future[None]) -> None:
        error = None if following.cancelled() else following.exception()
        if error is not None:
            with self._changed:
                self._gone = error
                self._changed.notify_all()
            self.news.set()

    def _take_ending(self, about: dict[str, Any]) -> None:
        with self._changed:
            self._endings[about["run"]] = about
            self._states[about["run"]] = about["state"]
            self._unfinished.discard(about["run"])
            self._changed.notify_all()
        self.news.set()
        self._close_in_time()

    def _take_event(self, item: dict[str, Any]) -> None:
        with self._changed:
            if "workers" in item:
                self._workers = item["workers"]
            if item.get("begun"):
                self._whole |= self._ids - self._updates.keys()  # what is not there any more
                self._begun.set()
            if "run" in item:
                self._take_news(item["run"], item)
            self._changed.notify_all()
        self.news.set()
        self._close_in_time()

    def _heard(self, _: Future[None]) -> None:
        self._begun.set()
        with self._changed:
            self._changed.notify_all()

    def _hears_more(self, runs: Iterable[str]) -> bool:
        return self._listening is not None and not self._listening.done() and not self._whole.issuperset(runs)

    def _close_in_time(self) -> None:
        """Listen no longer once all have ended, and have been heard to."""
        with self._changed:
            over = not self._unfinished and not self._hears_more(self._ids)
        if over:
            self.close()

    def _take_news(self, run: str, item: dict[str, Any]) -> None:
        known = self._updates.get(run, Update())
        if (status := item.get("status")) is not None:
            state = _STATES.get(status["state"], "finished")
            attempt = max(1, status["attempt"] + (status["state"] == "interrupted"))
            if attempt != known.attempt or (state == "running" and known.state != "running"):
                known = Update()  # what a dead attempt had reported is no longer true
                self._parts.setdefault(run, RunTasks()).begin_again()
            worker = status["worker"] if state == "running" else ""
            self._updates[run] = replace(known, state=state, worker=worker, attempt=attempt)
            if state == "finished":
                self._whole.add(run)
        elif "added" in (report := item["report"]) or report.get("key") != run:
            self._parts.setdefault(run, RunTasks()).take(report)
        else:
            told = TaskReport.of(report)
            self._updates[run] = replace(known, state="running", done=told.done, total=told.total, text=told.in_words())


def _not_lost(error: BaseException, run: str, host: str) -> BaseException:
    """Say what the end of a connection means for a run."""
    if not isinstance(error, SimmateRemoteError):
        return error
    data = error_to_dict(error)
    data["meanwhile"] = f"the run {run} is not lost: it goes on, or is begun again when you connect"
    connect = Remedy(f"simmate-remote connect {host}", "begins what was interrupted again")
    data["remedies"] = [each._asdict() for each in dict.fromkeys((connect, *error.remedies))]
    told = error_from_dict(data)
    told.__cause__ = error
    return told
