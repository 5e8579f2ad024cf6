"""A task's command: its words, with what it got filled in."""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Mapping, Sequence
from typing import Any

from simmate_remote.errors import TaskDeclarationError

FIELDS = ("cores", "ranks", "threads", "gpus", "memory")
_OPERATOR = re.compile(r"[();<>|&]+")
_EXPANDED = re.compile(r"[$`]")


def check_command(command: str | Sequence[str]) -> list[str]:
    """Split a command into words, each with its fields still in braces.

    No shell is between a task and its program: so a program that is missing or killed is known for certain, and what
    is filled in cannot become a command of its own.

    Args:
        command: The words, or a text that is split like a shell's line.

    Raises:
        TaskDeclarationError: It is empty, or wants a shell, or names an unknown field.
    """
    if isinstance(command, str):
        try:
            words = shlex.split(command)
            lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
            lexer.whitespace_split = True
            parts = list(lexer)
        except ValueError as error:
            raise TaskDeclarationError(f"the command {command!r} cannot be split into words: {error}") from error
        for part in parts:
            if _OPERATOR.fullmatch(part) or (part[0] != "'" and _EXPANDED.search(part)):
                raise TaskDeclarationError(
                    f"the command has {part}, which only a shell understands",
                    detail="Name files for stdin, stdout and stderr of the task, or write the command as a list: "
                    '["sh", "-c", "…"].',
                )
    else:
        words = [str(word) for word in command]
    if not words or not words[0]:
        raise TaskDeclarationError("the task has no command")
    for word in words:
        for field in _fields(word):
            if field not in FIELDS:
                known = ", ".join(f"{{{name}}}" for name in FIELDS)
                raise TaskDeclarationError(
                    f"the command names {{{field}}}; there are {known}; braces are written {{{{ }}}}"
                )
    return words


def fill_command(words: Sequence[str], values: Mapping[str, int]) -> list[str]:
    """Fill in the fields."""
    return [word.format(**values) for word in words]


def _fields(word: str) -> list[Any]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(word) if name is not None]
    except ValueError as error:
        raise TaskDeclarationError(f"{word!r} in the command: {error}; braces are written {{{{ }}}}") from error
