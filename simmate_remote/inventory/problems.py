"""pydantic's errors in the words of a person who wrote a file: what was expected, what was found, what is right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from simmate_remote.inventory.document import Document, Problem
from simmate_remote.inventory.models import Expects, HostDescription, Keepalive, Workers

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SECTIONS: dict[str, type[BaseModel]] = {"": HostDescription, "workers": Workers, "keepalive": Keepalive}
_ENTRIES = {
    "environment": Expects("a text in quotes", '"2"'),
    "resources": Expects("a number of at least 0", "1"),
    "programs": Expects("a command, or a path on the host that is absolute or begins with `~/`", "/opt/qe/bin/pw.x"),
}

_UNKNOWN = Expects("nothing of this name", "")


def find_problems(error: ValidationError, document: Document) -> list[Problem]:
    """Say what is wrong, line by line.

    Args:
        error: What pydantic found when it validated ``document.data`` as a :class:`HostDescription`.
        document: Where each value stood.
    """
    return [_problem(details, document) for details in error.errors(include_url=False)]


def describe_problems(error: ValidationError, fields: dict[str, Any]) -> list[str]:
    """Say what is wrong with fields that came from no file.

    Args:
        error: What pydantic found.
        fields: What it was given.
    """
    document = Document(data=fields)
    _remember(fields, (), document)
    return [f"{problem.field}: {problem.message}" for problem in find_problems(error, document)]


def _remember(value: object, path: tuple[str, ...], document: Document) -> None:
    document.lines[path] = 1
    document.found[path] = "nothing" if value is None else repr(value)
    if isinstance(value, dict):
        document.found[path] = "a section"
        for key, entry in value.items():
            _remember(entry, (*path, str(key)), document)


def _problem(details: ErrorDetails, document: Document) -> Problem:
    path = tuple(str(part) for part in details["loc"])
    is_key = path[-1:] == ("[key]",)
    if is_key:
        path = path[:-1]
    name, field = path[-1], ".".join(path)
    expected = _expected(path)
    example = f"for example `{name}: {expected.example}`"
    if details["type"] == "missing":
        line = document.lines.get(path[:-1], 1)
        return Problem(line, field, f"this field is required: {expected.what}; {example}")
    line = document.key_lines.get(path) or document.lines.get(path, 1)
    if details["type"] == "extra_forbidden":
        return Problem(line, field, f"there is no such field; {_did_you_mean(path)}")
    reason = str(details["ctx"]["error"]) if details["type"] == "value_error" else ""
    if is_key:
        return Problem(line, field, reason)
    line = document.lines.get(path, line)
    found = document.found.get(path, "nothing")
    if path[-2:-1] == ("environment",) and found != "nothing" and details["type"] == "string_type":
        example = f'for example `{name}: "{found}"`'
    because = f" ({reason})" if reason else ""
    return Problem(line, field, f"expected {expected.what}, found {found}{because}; {example}")


def _expected(path: tuple[str, ...]) -> Expects:
    inside = len(path) > 1 and path[0] in _SECTIONS
    section, rest = (_SECTIONS[path[0]], path[1:]) if inside else (HostDescription, path)
    if len(rest) > 1:
        return _ENTRIES[rest[0]]
    field = section.model_fields.get(rest[0])
    return next((entry for entry in field.metadata if isinstance(entry, Expects)), _UNKNOWN) if field else _UNKNOWN


def _did_you_mean(path: tuple[str, ...]) -> str:
    section = ".".join(path[:-1])
    own = list(_SECTIONS[section].model_fields)
    close = difflib.get_close_matches(path[-1], own, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    for other, model in _SECTIONS.items():
        elsewhere = difflib.get_close_matches(path[-1], list(model.model_fields), n=1, cutoff=0.8)
        if other != section and elsewhere:
            return f"did you mean `{other}.{elsewhere[0]}`?" if other else f"`{elsewhere[0]}` belongs to the left"
    return f"there are {', '.join(own)}"
