"""What the scheduler knows about one task, and the updates that a person sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from distributed import Client

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
        topic: The scheduler's events that the reports come by.
        keys: The tasks'.
    """

    def __init__(self, client: Client, topic: str, keys: Iterable[str]) -> None:
        self.client = client
        self.topic = topic
        self.news = threading.Event()
        self._latest = {key: Update() for key in keys}
        self._unfinished = set(self._latest)
        self._listening = False
        self._asked = 0.0
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Take the reports of the tasks from now on, and those that they have made so far."""
        if not self._listening:
            self._listening = True
            self.client.subscribe_topic(self.topic, self._take_report)

    def close(self) -> None:
        """Listen no longer."""
        if self._listening and self.client.status == "running":
            self.client.unsubscribe_topic(self.topic)

    def latest(self, key: str) -> Update:
        """Return what is known of a task, without asking."""
        with self._lock:
            return self._latest[key]

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
        return self.latest(key)

    def _take_report(self, event: tuple[float, dict[str, Any]]) -> None:
        about = event[1]
        with self._lock:
            report = {name: about[name] for name in ("done", "total", "text")}
            self._latest[about["key"]] = replace(self._latest[about["key"]], state="running", **report)
        self.news.set()


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
