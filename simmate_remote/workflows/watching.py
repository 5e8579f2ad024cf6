"""What the scheduler knows about one task, and the updates that a person sees."""

from __future__ import annotations

import threading
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
    """Gathers updates of one task from its own reports and from the scheduler.

    Args:
        client: Of the cluster.
        topic: The scheduler's events that the reports come by.
        key: The task's.
    """

    def __init__(self, client: Client, topic: str, key: str) -> None:
        self.client = client
        self.topic = topic
        self.key = key
        self.news = threading.Event()
        self._latest = Update()
        self._lock = threading.Lock()
        client.subscribe_topic(topic, self._take_report)

    def close(self) -> None:
        """Listen no longer."""
        if self.client.status == "running":
            self.client.unsubscribe_topic(self.topic)

    def latest(self) -> Update:
        """Return what is known, without asking."""
        with self._lock:
            return self._latest

    def ask(self) -> Update:
        """Ask the scheduler, and return what is known then."""
        seen: dict[str, Any] = self.client.run_on_scheduler(_look, self.key)
        with self._lock:
            if seen.get("attempt", 1) > self._latest.attempt:
                seen |= {"done": 0.0, "text": ""}  # what a dead attempt had reported is no longer true
            self._latest = replace(self._latest, **seen)
            return self._latest

    def _take_report(self, event: tuple[float, dict[str, Any]]) -> None:
        with self._lock:
            report = {name: event[1][name] for name in ("done", "total", "text")}
            self._latest = replace(self._latest, state="running", **report)
        self.news.set()


def _look(key: str, dask_scheduler: Any) -> dict[str, Any]:
    """Describe a task; this runs on the scheduler."""
    task = dask_scheduler.tasks.get(key)
    workers = len(dask_scheduler.workers)
    if task is None:
        return {"workers": workers}  # the graph that it is part of is still being read
    state: State = "waiting"
    if task.state in _ENDED:
        state = "finished"
    elif task.processing_on is not None:
        state = "running"
    elif not workers:
        state = "no worker"
    worker = "" if task.processing_on is None else str(task.processing_on.name)
    return {"state": state, "worker": worker, "attempt": task.suspicious + 1, "workers": workers}
