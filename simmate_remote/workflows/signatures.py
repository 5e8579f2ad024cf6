"""What a function can be called with: the names that its signature takes, and what it asks for."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.target import Target

UNKNOWN = inspect.Parameter.empty


def signature_of(target: Target) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters that can be given by name, and whether any other name is taken, too."""
    try:
        parameters = inspect.signature(target.function).parameters.values()
    except ValueError:
        return {}, True  # some functions written in C do not tell
    for one in parameters:
        if one.kind is one.POSITIONAL_ONLY and one.default is UNKNOWN:
            raise WorkflowError(f"{target.name} takes {one.name!r} by position only: it cannot be given by name")
    named = {one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    return named, any(one.kind is one.VAR_KEYWORD for one in parameters)


def bind(target: Target, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give arguments, as a call has them, by name.

    Raises:
        WorkflowError: They do not fit the function.
    """
    accepted, open_ended = signature_of(target)
    names = list(accepted)
    if len(args) > len(names):
        raise WorkflowError(f"{target.name} takes {len(names)} arguments, and {len(args)} were given")
    values = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name in values:
            raise WorkflowError(f"{target.name}: {name} is given twice")
        refuse_unknown(target, name, accepted, open_ended)
        values[name] = value
    refuse_missing(target, accepted, values)
    return values


def with_defaults(target: Target, values: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults of parameters that are not given."""
    accepted, _ = signature_of(target)
    defaults = {name: one.default for name, one in accepted.items() if one.default is not UNKNOWN}
    return {**defaults, **values}


def refuse_unknown(target: Target, name: str, accepted: Mapping[str, Any], open_ended: bool) -> None:
    """Raise a WorkflowError for a name that a function does not take."""
    if name not in accepted and not open_ended:
        raise unknown(target.name, name, accepted)


def unknown(workflow: str, name: str, accepted: Iterable[str]) -> WorkflowError:
    """Give the error that a function does not take a name.

    Args:
        workflow: What the function is called.
        name: What it does not take.
        accepted: What it takes.
    """
    return WorkflowError(f"{workflow} has no parameter {name!r}{_instead(name, accepted)}", meanwhile="nothing was run")


def accepted_names(target: Target) -> list[str] | None:
    """Give the names that a function takes; None: any."""
    accepted, open_ended = signature_of(target)
    return None if open_ended else list(accepted)


def refuse_missing(target: Target, accepted: Mapping[str, inspect.Parameter], values: Mapping[str, Any]) -> None:
    """Raise a WorkflowError if a parameter without a default has no value."""
    missing = [name for name, one in accepted.items() if one.default is UNKNOWN and name not in values]
    if missing:
        raise WorkflowError(
            f"{target.name} needs {', '.join(f'{name}=…' for name in missing)}", meanwhile="nothing was run"
        )


def _instead(name: str, accepted: Iterable[str]) -> str:
    names = list(accepted)
    close = difflib.get_close_matches(name, names, n=2)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; it has {', '.join(names)}" if names else "; it takes none"
