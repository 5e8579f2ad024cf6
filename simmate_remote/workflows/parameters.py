"""``name=value``, as typed on a command line, made into what a function's signature asks for."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
import types
import typing
from collections.abc import Iterable
from typing import Any

import pydantic
import yaml

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.target import Target

_UNKNOWN = inspect.Parameter.empty
# YAML 1.1 wants a dot and a sign in the exponent; nobody who types a tolerance does.
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def parse_parameters(target: Target, words: Iterable[str]) -> dict[str, Any]:
    """Read parameters for a function from words of the form ``name=value``.

    A value becomes what the parameter is annotated with: a ``str`` is taken letter by letter, everything else is
    read as YAML (``3``, ``2.5``, ``true``, ``null``, ``[1, 2]``, ``{a: 1}``) and then validated by pydantic. A
    parameter without an annotation gets what YAML makes of the value.

    Args:
        target: The function that the parameters are for.
        words: Each is split at its first ``=``.

    Returns:
        The values by name, without those that keep their default.

    Raises:
        WorkflowError: A name is unknown or given twice, a value does not fit, or a required one is missing.
    """
    accepted, open_ended = _signature(target)
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise WorkflowError(f"{word!r} is not a parameter: write name=value")
        if name in values:
            raise WorkflowError(f"{name} is given twice")
        if name not in accepted and not open_ended:
            raise WorkflowError(f"{target.name} has no parameter {name!r}{_instead(name, accepted)}")
        annotation = _annotation(target, accepted[name]) if name in accepted else _UNKNOWN
        values[name] = _value(name, text, annotation)
    missing = [name for name, one in accepted.items() if one.default is _UNKNOWN and name not in values]
    if missing:
        raise WorkflowError(
            f"{target.name} needs {', '.join(f'{name}=…' for name in missing)}", meanwhile="nothing was run"
        )
    return values


def with_defaults(target: Target, values: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults of parameters that are not given."""
    accepted, _ = _signature(target)
    defaults = {name: one.default for name, one in accepted.items() if one.default is not _UNKNOWN}
    return {**defaults, **values}


def _signature(target: Target) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters that can be given by name, and whether any other name is taken, too."""
    try:
        parameters = inspect.signature(target.function).parameters.values()
    except ValueError:
        return {}, True  # some functions written in C do not tell
    for one in parameters:
        if one.kind is one.POSITIONAL_ONLY and one.default is _UNKNOWN:
            raise WorkflowError(f"{target.name} takes {one.name!r} by position only: it cannot be given by name")
    named = {one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    return named, any(one.kind is one.VAR_KEYWORD for one in parameters)


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
        return _UNKNOWN  # such as a type that is imported for type checkers alone


def _value(name: str, text: str, annotation: Any) -> Any:
    if annotation is str:
        return text
    if annotation is _UNKNOWN:
        return _yaml(text)
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)
    except pydantic.errors.PydanticUserError:
        return _yaml(text)  # a type that pydantic knows nothing about
    problems = []
    for reading in _readings(text):
        try:
            return adapter.validate_python(reading)
        except pydantic.ValidationError as error:
            problems.append(error)
    first = problems[0].errors()[0]
    where = "".join(f"[{step!r}]" for step in first["loc"] if isinstance(step, int))
    wanted = annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    raise WorkflowError(
        f"{name}={text}: {name}{where} should be {wanted} ({first['msg']})", meanwhile="nothing was run"
    ) from problems[0]


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


def _instead(name: str, accepted: Iterable[str]) -> str:
    names = list(accepted)
    close = difflib.get_close_matches(name, names, n=2)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; it has {', '.join(names)}" if names else "; it takes none"
