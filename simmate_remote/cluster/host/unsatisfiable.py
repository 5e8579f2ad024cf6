"""Refuse at once what no worker could ever run; distributed lets such a task wait for ever, in silence."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

from simmate_remote.errors import Remedy, UnsatisfiableError


class RefuseUnsatisfiable(SchedulerPlugin):  # type: ignore[misc]
    """Lets a task fail that asks for more of a resource than any worker has, or than a further one would have.

    Args:
        scheduler: The scheduler.
        template: The resources of a worker that may yet be started, name to amount.
        called: What its user calls this host.
    """

    name = "simmate-remote-unsatisfiable"

    def __init__(self, scheduler: Scheduler, template: dict[str, float], called: str) -> None:
        self._scheduler = scheduler
        self._template = template
        self._called = called

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish == "no-worker" and self._lacking(key):
            # Not within the transition that this is told of.
            asyncio.get_running_loop().call_soon(self._refuse, key)

    def _lacking(self, key: Any) -> dict[str, float]:
        task = self._scheduler.tasks.get(key)
        if task is None or not task.resource_restrictions:
            return {}
        offers = [self._template, *(worker.resources for worker in self._scheduler.workers.values())]
        wanted: dict[str, float] = task.resource_restrictions
        if any(all(offer.get(name, 0) >= amount for name, amount in wanted.items()) for offer in offers):
            return {}
        return wanted

    def _refuse(self, key: Any) -> None:
        task = self._scheduler.tasks.get(key)
        wanted = self._lacking(key)
        if task is None or task.state != "no-worker" or not wanted:
            return
        asked = ", ".join(f"{name}={amount:g}" for name, amount in wanted.items())
        there = ", ".join(f"{name}={amount:g}" for name, amount in self._template.items()) or "no resources"
        error = UnsatisfiableError(
            f"the task {key!r} asks for {asked}, and no worker has that much: each has {there}",
            host=self._called,
            meanwhile="all other tasks go on",
            remedies=(
                Remedy(f"simmate-remote hosts show {shlex.quote(self._called)}", "`workers:` says what each one has"),
            ),
        )
        stimulus = f"unsatisfiable-{key}"
        further = self._scheduler.transition(key, "erred", exception=dumps(error), cause=key, stimulus_id=stimulus)
        self._scheduler.transitions(further, stimulus_id=stimulus)
