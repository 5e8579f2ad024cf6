"""What the scheduler knows about one task, and the updates that a person sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from distributed import Client

from simmate_remote.runs.host.executions import Executions
from simmate_remote.workflows.listening import Event, listen, stop_listening
from simmate_remote.workflows.progress import TOPIC
from simmate_remote.workflows.run_tasks import RunTasks, TaskReport

State = Literal["waiting", "no worker", "running", "finished"]
_ENDED = frozenset({"memory", "erred", "released", "forgotten"})


@dataclass(frozen=True)
class Update:
    """How a run stands.

    Args:
        state: ``waiting`` for a free worker, ``no worker`` because there is none at all, ``running``, ``finished``.
        worker: The name of the worker that has it; empty while it waits.
        attempt: 1, and one more for each worker that died while it had the task.
        workers: How many workers the cluster has.
        done: What the function has last reported as done, in its own unit.
        total: What it has reported as all there is to do; 0 as long as it has reported nothing.
        text: What it has said it is doing.
    """

    state: State = "waiting"
    worker: str = ""
    attempt: int = 1
    workers: int = 0
    done: float = 0.0
    total: float = 0.0
    text: str = ""


class Watch:
    """Gathers updates of tasks that were submitted together, from their own reports and from the scheduler.

    Whoever asks for one asks for all: each question is a round trip.

    Args:
        client: Of the cluster.
        keys: The tasks'.
        parts: What gathers the reports of a run's own tasks, if that is there already.
    """

    def __init__(
        self, client: Client, keys: Iterable[str], parts: Mapping[str, RunTasks] = MappingProxyType({})
    ) -> None:
        self.client = client
        self.news = threading.Event()
        self._latest = {key: Update() for key in keys}
        self._parts = {key: parts.get(key) or RunTasks() for key in self._latest}
        self._executions = {key: Executions() for key in self._latest}
        self._unfinished = set(self._latest)
        self._listening = False
        self._early: list[Event] | None = None
        self._past: set[float] = set()
        self._asked = 0.0
        self._lock = threading.Lock()

    def listen(self, *, began: bool = True) -> None:
        """Take the reports of the tasks from now on.

        Args:
            began: Whether they may have told something already: that is asked for, as far as the scheduler knows it.
        """
        if self._listening:
            return
        self._listening = True
        self._early = [] if began else None
        listen(self.client, self._latest, self)
        if began:
            past: tuple[Event, ...] = self.client.run_on_scheduler(_subscribe, self.client.id)
            with self._lock:
                early, self._early = self._early or [], None
                # The answer may overtake what the scheduler sent before it: that is known by its time when it comes.
                self._past = {event[0] for event in past if self._concerns(event)}
                for event in past:
                    self._take_report(event[1])
                for event in early:
                    self._take_news(event)

    def close(self) -> None:
        """Listen no longer."""
        if self._listening:
            stop_listening(self.client, self._latest)

    def latest(self, key: str) -> Update:
        """Return what is known of a task, without asking."""
        with self._lock:
            return self._latest[key]

    def tasks(self, key: str) -> RunTasks:
        """Return the parts of a run."""
        return self._parts[key]

    def ask(self, key: str, max_age: float = 0.0) -> Update:
        """Ask the scheduler for all tasks that have not ended, and return what is then known of one.

        Args:
            key: The task's.
            max_age: Seconds for which an answer that is here already is new enough.
        """
        if key in self._unfinished and time.monotonic() - self._asked > max_age:
            self._asked = time.monotonic()
            seen: dict[str, dict[str, Any]] = self.client.run_on_scheduler(_look, list(self._unfinished))
            with self._lock:
                for each, about in seen.items():
                    if about.get("attempt", 1) > self._latest[each].attempt:
                        about |= {"done": 0.0, "text": ""}  # what a dead attempt had reported is no longer true
                    self._latest[each] = replace(self._latest[each], **about)
                    if about.get("state") == "finished":
                        self._unfinished.discard(each)
            if not self._unfinished:
                self.close()
        return self.latest(key)

    def hear(self, event: Event) -> None:
        """Take a report."""
        with self._lock:
            if self._early is None:
                self._take_news(event)
            else:
                self._early.append(event)
        self.news.set()

    def _concerns(self, event: Event) -> bool:
        return event[1]["run"] in self._parts or event[1].get("key", "") in self._latest

    def _take_news(self, event: Event) -> None:
        if event[0] in self._past:
            self._past.discard(event[0])
        else:
            self._take_report(event[1])

    def _take_report(self, about: dict[str, Any]) -> None:
        run, key = about["run"], about.get("key", "")
        if run in self._executions:
            if self._executions[run].is_over(about):
                return
            if self._executions[run].begins(about):
                self._parts[run].begin_again()
        if key != run and run in self._parts:
            self._parts[run].take(about)
        if key in self._latest:
            told = TaskReport.of(about)
            self._latest[key] = replace(
                self._latest[key], state="running", done=told.done, total=told.total, text=told.in_words()
            )


def _subscribe(client: str, dask_scheduler: Any) -> tuple[Event, ...]:
    """Give the reports so far, and let a client have all later ones; this runs on the scheduler.

    What the client itself sends to subscribe may arrive after a question for the past, and a report between the two.
    """
    dask_scheduler.subscribe_topic(TOPIC, client)
    past: tuple[Event, ...] = dask_scheduler.get_events(TOPIC)
    return past


def _look(keys: list[str], dask_scheduler: Any) -> dict[str, dict[str, Any]]:
    """Describe tasks; this runs on the scheduler."""
    workers = len(dask_scheduler.workers)
    return {key: {"workers": workers, **_describe(dask_scheduler.tasks.get(key), workers)} for key in keys}


def _describe(task: Any, workers: int) -> dict[str, Any]:
    if task is None:
        return {}  # the graph that it is part of is still being read, or it was released
    state: State = "waiting"
    if task.state in _ENDED:
        state = "finished"
    elif task.processing_on is not None:
        state = "running"
    elif not workers:
        state = "no worker"
    worker = "" if task.processing_on is None else str(task.processing_on.name)
    return {"state": state, "worker": worker, "attempt": task.suspicious + 1}
