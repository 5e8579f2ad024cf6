"""The parameters of a task are those of its ``setup``; and what tells whether two sets of them are the same."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pydantic_core

from simmate_remote.errors import TaskDeclarationError
from simmate_remote.workflows.target import Target


def target_of_setup(setup: Callable[..., Any], task: str) -> Target:
    """Give a task's ``setup`` as a function that takes the task's parameters alone.

    Args:
        setup: The method of an object.
        task: The task's name, for messages.

    Raises:
        TaskDeclarationError: One of its parameters cannot be given by name.
    """
    try:
        hints = typing.get_type_hints(setup, include_extras=True)
    except (NameError, TypeError):
        hints = {}  # such as a type that is imported for type checkers alone
    accepted = list(inspect.signature(setup).parameters.values())
    if not accepted or accepted[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise TaskDeclarationError(f"setup of {task} must take the folder first")
    parameters = accepted[1:]
    for one in parameters:
        if one.kind is one.POSITIONAL_ONLY:
            raise TaskDeclarationError(f"the parameter {one.name!r} of {task} cannot be given by name")

    def takes(**_: Any) -> None:
        """Stand for ``setup`` where only its signature counts."""

    typed = [one.replace(annotation=hints.get(one.name, one.empty)) for one in parameters]
    takes.__signature__ = inspect.Signature(typed)  # type: ignore[attr-defined]
    return Target(setup.__module__, "setup", takes, task)


def parameters_for(method: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of some parameters that a method takes by name."""
    parameters = inspect.signature(method).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return dict(values)
    return {name: value for name, value in values.items() if name in parameters}


def digests_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Give a digest of each parameter: the same for the same value, in any process; a file is what is in it."""
    return {name: hashlib.sha256(_data(value)).hexdigest()[:16] for name, value in values.items()}


def _data(value: Any) -> bytes:
    if isinstance(value, Path) and value.is_file():
        # Each call has a copy of its own, in another folder.
        return value.name.encode() + b"\0" + value.read_bytes()
    try:
        # By themselves the values of a set have no order.
        return pydantic_core.to_json(sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value)
    except (pydantic_core.PydanticSerializationError, ValueError):
        pass
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a user's class does, its repr is what is left
        return repr(value).encode()
