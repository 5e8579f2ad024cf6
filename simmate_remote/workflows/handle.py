"""What becomes of a run, for whoever started it: its result, status, progress and output, and a way to cancel it."""

from __future__ import annotations

import abc
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar, cast

from distributed import Client, Future, wait

from simmate_remote.runs.recording import Recorded
from simmate_remote.workflows.awaiting import wait_beside
from simmate_remote.workflows.current import cancel_here, printed_here
from simmate_remote.workflows.failures import run_cancelled, scheduler_gone
from simmate_remote.workflows.outcome import RunOutcome, read_outcome
from simmate_remote.workflows.recorded import note_outcome
from simmate_remote.workflows.run_tasks import RunTasks
from simmate_remote.workflows.submission import Prepared
from simmate_remote.workflows.waiting import place_given_up
from simmate_remote.workflows.watching import Update, Watch

R = TypeVar("R")

_NEW_ENOUGH = 0.2
"""Seconds between two questions to a scheduler about what began together."""

Status = Literal["waiting", "no worker", "running", "finished", "failed", "cancelled"]


class Handle(abc.ABC, Generic[R]):
    """One run of a workflow or of a task.

    ``await handle`` gives its result, too.

    Attributes:
        name: What runs.
        id: The run's, good for ``simmate-remote runs``; empty: it is a part of another run, or could not be recorded.
    """

    name: str
    id: str

    @abc.abstractmethod
    def outcome(self, timeout: float | None = None) -> RunOutcome:
        """Wait for the end of the run, and give what came of it; a function that raised does not raise here.

        Args:
            timeout: Seconds to wait; None: as long as it takes.

        Raises:
            TimeoutError: It has not ended by then; it goes on.
            RunCancelledError: It was cancelled.
            SimmateRemoteError: The cluster failed, or the result cannot be understood here.
        """

    @property
    @abc.abstractmethod
    def status(self) -> Status:
        """How it stands."""

    @property
    @abc.abstractmethod
    def progress(self) -> Update:
        """How far it is, as it reports itself by :func:`simmate_remote.report_progress`, or its only program does."""

    @property
    @abc.abstractmethod
    def tasks(self) -> RunTasks:
        """Its tasks, and the programs that it performs itself, from when this was first asked for."""

    @abc.abstractmethod
    def logs(self) -> str:
        """Give the end of what it has printed: its own thread, and not programs that it started."""

    @abc.abstractmethod
    def cancel(self) -> None:
        """End it: what waits is taken back, and programs that it runs are ended.

        Python code that runs already goes on to its end unless it looks at ``current().cancelled``; its result is
        dropped.
        """

    def result(self, timeout: float | None = None) -> R:
        """Wait for the end of the run, and give its result, or raise what it raised.

        Args:
            timeout: Seconds to wait; None: as long as it takes.

        Raises:
            TimeoutError: It has not ended by then; it goes on.
            RunCancelledError: It was cancelled.
            Exception: What the function raised.
        """
        return cast(R, self.outcome(timeout).get())

    def done(self) -> bool:
        """Say whether it has ended, in whatever way."""
        return self.status in ("finished", "failed", "cancelled")

    def __await__(self) -> Generator[Any, None, R]:
        return self._awaited().__await__()

    async def _awaited(self) -> R:
        # This thread, in which the loop runs, may be a worker's, and not the one that waits.
        with place_given_up():
            return await wait_beside(self.result, f"await {self.name}")

    def __repr__(self) -> str:
        return f"<{self.name}: {self.status}>"


class FinishedHandle(Handle[R]):
    """A run that took place in this thread.

    Args:
        name: What ran.
        outcome: What came of it.
        run: Its id.
    """

    def __init__(self, name: str, outcome: RunOutcome, run: str = "") -> None:
        self.name = name
        self.id = run
        self._outcome = outcome

    def outcome(self, timeout: float | None = None) -> RunOutcome:
        return self._outcome

    @property
    def status(self) -> Status:
        return "finished" if self._outcome.error is None else "failed"

    @property
    def progress(self) -> Update:
        return Update(state="finished")

    @property
    def tasks(self) -> RunTasks:
        return RunTasks()

    def logs(self) -> str:
        return ""  # it has printed where this process prints

    def cancel(self) -> None:
        pass


class ClusterHandle(Handle[R]):
    """A run on a cluster.

    Args:
        name: What runs.
        prepared: What was submitted.
        future: The task.
        host: What the user calls the cluster, for messages.
        watch: Knows how it goes, and others that began with it.
        recorded: Its record, if it has one.
    """

    def __init__(
        self,
        name: str,
        prepared: Prepared,
        future: Future,
        host: str | None,
        watch: Watch,
        recorded: Recorded | None = None,
    ) -> None:
        self.name = name
        self.id = recorded.id if recorded is not None else ""
        self.future = future
        self._recorded = recorded
        self._prepared = prepared
        self._client: Client = watch.client
        self._host = host
        self._watch = watch
        self._began = time.monotonic()
        self._outcome: RunOutcome | None = None

    def outcome(self, timeout: float | None = None) -> RunOutcome:
        if self._outcome is None:
            self._wait(timeout)
            seconds = time.monotonic() - self._began
            attempts = self._watch.ask(self._prepared.key).attempt
            self._outcome = read_outcome(self.future, self._prepared.code, self._host, attempts, seconds)
            note_outcome(self._recorded, self.future, self._outcome)
            self.future.release()
        return self._outcome

    def _wait(self, timeout: float | None) -> None:
        if not self.future.done():
            with place_given_up(), self._client.as_current():
                try:
                    wait([self.future], timeout=timeout)
                except TimeoutError as error:
                    raise TimeoutError(f"{self.name} has not ended after {timeout:g} s; it goes on") from error
        if self.future.status == "cancelled":
            if self._client.status == "running":
                raise run_cancelled(self.name, self._host)
            raise scheduler_gone(self._host)
        if self.future.status == "lost":
            raise scheduler_gone(self._host)

    @property
    def status(self) -> Status:
        if self._outcome is not None:
            return "finished" if self._outcome.error is None else "failed"
        match self.future.status:
            case "finished":
                return "finished"
            case "error":
                return "failed"
            case "cancelled" | "lost":
                return "cancelled"
        state = self.progress.state
        return "running" if state == "finished" else state

    @property
    def progress(self) -> Update:
        if self._outcome is not None:
            return Update(state="finished")
        self._watch.listen()
        update = self._watch.ask(self._prepared.key, max_age=_NEW_ENOUGH)
        return update if update.text else replace(update, text=self._watch.tasks(self._prepared.key).program())

    @property
    def tasks(self) -> RunTasks:
        if self._outcome is None:
            self._watch.listen()
        return self._watch.tasks(self._prepared.key)

    def done(self) -> bool:
        return self._outcome is not None or self.future.done()

    def logs(self) -> str:
        if self._outcome is None and not self.future.done():
            here: dict[str, str] = self._client.run(printed_here, self._prepared.call.run)
            return "".join(here.values())
        return self.outcome().printed

    def cancel(self) -> None:
        self._client.cancel([self.future], force=True)
        self._client.run(cancel_here, self._prepared.call.run)
