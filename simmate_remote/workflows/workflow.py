"""Workflows: functions that are defined once, and run here, on all cores, or on a host."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.definition import Definition
from simmate_remote.workflows.handle import Handle
from simmate_remote.workflows.target import Target, call, target_of

if TYPE_CHECKING:
    from simmate_remote.workflows.resources import Resource

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Definition[P, R]):
    """A function with a name, a version and typed parameters, that runs on whatever resource it is given.

    :func:`workflow` makes it. Called, it is the function itself: that is how workflows nest.

    Args:
        function: What is called.
        place: What was written in the module: the same function, or a class with ``run``.
        name: What it is called in lists and on dashboards.
        version: Of its results: a change that makes them different makes it another.
    """

    def __init__(self, function: Callable[P, R], place: Any, name: str, version: str) -> None:
        super().__init__(function, place)
        self.name = name
        self.version = version

    def __repr__(self) -> str:
        return f"<workflow {self.name} {self.version}>"

    def run(self, **parameters: Any) -> R:
        """Run it here and now, in this thread, and give its result.

        Args:
            parameters: By name.

        Raises:
            WorkflowError: A parameter is unknown, missing, or does not fit.
            Exception: What the function raised.
        """
        from simmate_remote.workflows.recorded import run_recorded

        here = Target(self.__module__, self.__qualname__, self, self.name)
        checked = _checked(here, parameters)
        return cast(R, run_recorded(here, checked, lambda: call(self, checked)))

    def submit(self, on: Resource | None = None, **parameters: Any) -> Handle[R]:
        """Start it on a resource, and give a handle to what becomes of it.

        Args:
            on: A host's name, ``"local"`` for all cores of this machine, ``"serial"``, or a Dask client or cluster.
                Default: inside of a workflow, the resource that this one runs on; elsewhere ``"serial"``, which runs
                it here before this returns.
            parameters: By name.

        Raises:
            WorkflowError: A parameter is unknown, missing, does not fit, or cannot be sent; nothing was started.
            SimmateRemoteError: The host could not be reached.
        """
        from simmate_remote.workflows.resources import start

        target = self._target()
        return cast("Handle[R]", start(target, [_checked(target, parameters)], on)[0])

    def map(self, parameters: Iterable[Mapping[str, Any]], on: Resource | None = None) -> list[Handle[R]]:
        """Start it once for each of many parameter sets; one that fails neither hides nor stops the others.

        Args:
            parameters: The sets, each by name.
            on: As for :meth:`submit`.

        Returns:
            A handle for each set, in their order.

        Raises:
            WorkflowError: A parameter of any set is wrong; nothing was started.
            SimmateRemoteError: The host could not be reached.
        """
        from simmate_remote.workflows.resources import start

        target = self._target()
        return cast("list[Handle[R]]", start(target, [_checked(target, each) for each in parameters], on))

    def _target(self) -> Target:
        return target_of(self, self.name)


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(*, name: str = "", version: str = "1") -> Callable[[Callable[P, R]], Workflow[P, R]]: ...
def workflow(function: Any = None, /, *, name: str = "", version: str = "1") -> Any:
    """Make a workflow of a function, or of a class that has a method ``run``.

    ::

        @workflow
        def relax(structure: Path, steps: int = 100) -> float: ...

        @workflow(version="2")
        class Relax:
            def run(self, structure: Path, steps: int = 100) -> float: ...

    Args:
        function: At the top of a module, so that other processes find it by its name.
        name: What it is called; default: the function's or the class's own name.
        version: Of its results, any text.

    Raises:
        WorkflowError: It is inside a function, or a class without ``run``.
    """
    if function is None:
        return functools.partial(workflow, name=name, version=version)
    known_as = name or function.__name__
    body = function
    if isinstance(function, type):
        if not callable(getattr(function, "run", None)):
            raise WorkflowError(f"the class {function.__name__} has no method run(), so it cannot be a workflow")
        body = function().run
    return Workflow(body, function, known_as, version)


def workflows_of(module: str) -> list[Workflow[Any, Any]]:
    """Give the workflows that a module defines, in the order of their names.

    Args:
        module: The name of a module that is imported.
    """
    found = [each for each in vars(sys.modules[module]).values() if isinstance(each, Workflow)]
    return sorted((each for each in found if each.__module__ == module), key=lambda each: each.name)


def _checked(target: Target, parameters: Mapping[str, Any]) -> dict[str, Any]:
    # Here and not above: workers import this module, and a host that has distributed alone has no pydantic.
    from simmate_remote.workflows.parameters import check_parameters

    return check_parameters(target, parameters)
