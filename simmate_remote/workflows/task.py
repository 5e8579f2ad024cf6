"""Tasks: the parts of a workflow that can run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, cast

from simmate_remote.workflows.definition import Definition
from simmate_remote.workflows.handle import Handle
from simmate_remote.workflows.signatures import bind
from simmate_remote.workflows.target import Target, target_of
from simmate_remote.workflows.waiting import place_given_up

P = ParamSpec("P")
R = TypeVar("R")


class Task(Definition[P, R]):
    """A function that runs beside others, on whatever resource its workflow runs on; :func:`task` makes it."""

    def __repr__(self) -> str:
        return f"<task {self.__qualname__}>"

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start it beside whatever else the workflow does; where that runs serially, run it before this returns.

        Raises:
            WorkflowError: The arguments do not fit the function, or cannot be sent.
        """
        return self._start([bind(self._target(), args, kwargs)])[0]

    def map(self, *arguments: Iterable[Any]) -> list[Handle[R]]:
        """Start it once for each item, or for the items of several iterables in step, as ``map`` does.

        Returns:
            A handle for each, in their order; :func:`gather` waits for all of them.
        """
        return self._start([bind(self._target(), each, {}) for each in zip(*arguments, strict=False)])

    def _start(self, sets: list[dict[str, Any]]) -> list[Handle[R]]:
        from simmate_remote.workflows.resources import start

        return cast("list[Handle[R]]", start(self._target(), sets, None))

    def _target(self) -> Target:
        return target_of(self)


def task(function: Callable[P, R]) -> Task[P, R]:
    """Make a task of a function that stands at the top of a module.

    ::

        @task
        def energy(structure: Atoms) -> float: ...

        @workflow
        def equation_of_state(structure: Atoms) -> list[float]:
            return gather(energy.map(scaled(structure, factor) for factor in FACTORS))

    Raises:
        WorkflowError: It is defined inside a function, where no other process finds it.
    """
    return Task(function, function)


def gather(handles: Iterable[Handle[R]], timeout: float | None = None) -> list[R]:
    """Wait for runs or tasks, and give their results in the same order.

    Args:
        handles: What to wait for.
        timeout: Seconds for each; None: as long as it takes.

    Raises:
        Exception: What the first of them, in their order, raised; the others go on.
    """
    with place_given_up():
        return [handle.result(timeout) for handle in handles]
