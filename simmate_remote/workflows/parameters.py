"""``name=value``, as typed on a command line, made into what a function's signature asks for."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
import yaml

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.signatures import UNKNOWN, refuse_missing, refuse_unknown, signature_of
from simmate_remote.workflows.target import Target

# YAML 1.1 wants a dot and a sign in the exponent; nobody who types a tolerance does.
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def parse_parameters(target: Target, words: Iterable[str], *, complete: bool = True) -> dict[str, Any]:
    """Read parameters for a function from words of the form ``name=value``.

    A value becomes what the parameter is annotated with: a ``str`` is taken letter by letter, everything else is
    read as YAML (``3``, ``2.5``, ``true``, ``null``, ``[1, 2]``, ``{a: 1}``) and then validated by pydantic. A
    parameter without an annotation gets what YAML makes of the value.

    Args:
        target: The function that the parameters are for.
        words: Each is split at its first ``=``.
        complete: Whether these are all that there are, so that none may be missing.

    Returns:
        The values by name, without those that keep their default.

    Raises:
        WorkflowError: A name is unknown or given twice, a value does not fit, or a required one is missing.
    """
    accepted, open_ended = signature_of(target)
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise WorkflowError(f"{word!r} is not a parameter: write name=value")
        if name in values:
            raise WorkflowError(f"{name} is given twice")
        refuse_unknown(target, name, accepted, open_ended)
        values[name] = _value(name, text, annotation_of(target, name))
    if complete:
        refuse_missing(target, accepted, values)
    return values


def annotation_of(target: Target, name: str) -> Any:
    """Give the type that a parameter is annotated with; ``UNKNOWN`` where there is none, or no such parameter."""
    accepted, _ = signature_of(target)
    return _annotation(target, accepted[name]) if name in accepted else UNKNOWN


def check_parameters(target: Target, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters that were given as Python's objects against what a function's signature asks for.

    Args:
        target: The function that the parameters are for.
        values: By name.

    Returns:
        The values as pydantic makes them fit their annotations: a ``Path`` of a text, a model of a dict. A parameter
        without an annotation, or with one that pydantic knows nothing about, is taken as it is.

    Raises:
        WorkflowError: A name is unknown, a value does not fit, or a required one is missing.
    """
    accepted, open_ended = signature_of(target)
    checked = {}
    for name, value in values.items():
        refuse_unknown(target, name, accepted, open_ended)
        adapter = _adapter(annotation_of(target, name))
        try:
            checked[name] = value if adapter is None else adapter.validate_python(value)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"[{step!r}]" for step in first["loc"])
            raise WorkflowError(
                f"{target.name}: {name}{where} should be {_wanted(_annotation(target, accepted[name]))} "
                f"({first['msg']}), and is {first['input']!r:.100}",
                meanwhile="nothing was run",
            ) from error
    refuse_missing(target, accepted, checked)
    return checked


def _annotation(target: Target, parameter: inspect.Parameter) -> Any:
    """Return the type that a parameter is annotated with, also where annotations are kept as text."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function: Any = inspect.unwrap(target.function)
    scope = getattr(getattr(function, "__func__", function), "__globals__", {})
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        return typing.get_type_hints(holder, globalns=scope, include_extras=True)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError):
        return UNKNOWN  # such as a type that is imported for type checkers alone


def _value(name: str, text: str, annotation: Any) -> Any:
    if annotation is str:
        return text
    adapter = _adapter(annotation)
    if adapter is None:
        return _yaml(text)
    problems = []
    for reading in _readings(text):
        try:
            return adapter.validate_python(reading)
        except pydantic.ValidationError as error:
            problems.append(error)
    first = problems[0].errors()[0]
    where = "".join(f"[{step!r}]" for step in first["loc"] if isinstance(step, int))
    raise WorkflowError(
        f"{name}={text}: {name}{where} should be {_wanted(annotation)} ({first['msg']})", meanwhile="nothing was run"
    ) from problems[0]


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any] | None:
    """Give what checks values against an annotation; None if there is none, or one unknown to pydantic."""
    if annotation is UNKNOWN:
        return None
    try:
        return _adapter_once(annotation)
    except TypeError:
        return _make_adapter(annotation)  # one that cannot be hashed, such as a Literal of a list


def _make_adapter(annotation: Any) -> pydantic.TypeAdapter[Any] | None:
    try:
        return pydantic.TypeAdapter(annotation)
    except pydantic.errors.PydanticUserError:
        return None


_adapter_once = functools.lru_cache(maxsize=256)(_make_adapter)


def _wanted(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _readings(text: str) -> list[Any]:
    """List what a text can mean: YAML's types first, then the bare text, then YAML with texts only."""
    readings: list[Any] = [_yaml(text), text]
    with contextlib.suppress(yaml.YAMLError):
        readings.append(yaml.load(text, yaml.BaseLoader))  # noqa: S506 - it makes texts, lists and dicts only
    return readings


def _yaml(text: str) -> Any:
    if _FLOAT.fullmatch(text.strip()):
        return float(text)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # ValueError: such as a date with month 13
        return text
