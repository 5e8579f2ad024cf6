"""Which workflows there are: in a file, in a package, or in what is installed."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from typing import NamedTuple

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.target import import_place, known_workflows, load_target
from simmate_remote.workflows.workflow import Workflow, workflows_of


class Listed(NamedTuple):
    """One line of the list.

    Args:
        name: What the workflow is called.
        version: Of its results; empty where a plain function was made known.
        target: What ``simmate-remote run`` takes.
        summary: The first line of its docstring, or why it cannot be imported.
    """

    name: str
    version: str
    target: str
    summary: str


def list_workflows(place: str | None = None) -> list[Listed]:
    """List workflows by name.

    Args:
        place: A file, or a module or package whose modules are all imported for it; None: what installed packages make
            known by entry points of ``simmate_remote.workflows``.

    Raises:
        WorkflowError: There is no such place, or it cannot be imported.
    """
    if place is None:
        return sorted(_installed(name) for name in known_workflows())
    top = import_place(place)
    modules = [top.__name__]
    for found in pkgutil.walk_packages(getattr(top, "__path__", ()), f"{top.__name__}."):
        import_place(found.name)
        modules.append(found.name)
    is_file = place.endswith(".py") or "/" in place
    return sorted(
        _listed(each, f"{place if is_file else module}:{each.__qualname__}")
        for module in modules
        for each in workflows_of(sys.modules[module].__name__)
    )


def _installed(name: str) -> Listed:
    try:
        found = load_target(name).function
    except WorkflowError as error:
        return Listed(name, "", name, f"cannot be imported: {error.what}")
    return _listed(found, name)._replace(name=name) if isinstance(found, Workflow) else Listed(name, "", name, "")


def _listed(found: Workflow[..., object], target: str) -> Listed:
    summary = (inspect.getdoc(found) or "").partition("\n")[0]
    return Listed(found.name, found.version, target, summary)
