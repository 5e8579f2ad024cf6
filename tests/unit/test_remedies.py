"""Every command that a message or a page tells people to type exists, with the options that are shown."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from simmate_remote.cli.app import app

ROOT = Path(__file__).parents[2]
# Programs that every machine with ssh has, and those of a checkout.
PROGRAMS = {"ssh", "ssh-add", "ssh-keygen", "ssh-keyscan", "ls", "df", "chmod", "getent", "make", "ps", "python"}


class Found(NamedTuple):
    where: str
    command: str


def remedies() -> Iterator[Found]:
    """Find every ``Remedy(command, …)`` of the source."""
    for path in sorted((ROOT / "simmate_remote").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Remedy":
                first = node.args[0] if node.args else None
                if first is not None and not isinstance(first, ast.Starred):
                    yield Found(f"{path.relative_to(ROOT)}:{node.lineno}", text_of(first))


def text_of(node: ast.expr) -> str:
    """Give a command as a person would see it, with a word in place of each value."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
        case ast.FormattedValue(value=value):
            return "python" if ast.unparse(value) == "sys.executable" else text_of(value)
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.List(elts=words)]):
            return " ".join(text_of(word) for word in words)
    # What composes a command for ssh is named for it: `hop.ssh("-v")`, `self._ssh`, `ssh`.
    return "ssh WORD" if re.search(r"\b_?ssh(_command)?(\(.*\))?$", ast.unparse(node)) else "WORD"


def examples() -> Iterator[Found]:
    """Find every command line of ours that a page shows."""
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if shown := re.match(r"\$ (simmate-remote .*)", line):
                yield Found(f"{path.relative_to(ROOT)}:{number}", re.split(r"  #| > ", shown[1])[0])


def understand(words: list[str]) -> None:
    """Parse a command line as the program would, without running it."""
    group = typer.main.get_command(app)
    context = group.make_context("simmate-remote", list(words))
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    while hasattr(command, "resolve_command"):
        context = command.make_context(name, rest, parent=context)
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


def problem(found: Found) -> str | None:
    """Say what is wrong with a command, if anything is."""
    program, *words = shlex.split(found.command)
    if program == "env":
        program, *words = words[2:]
    if program != "simmate-remote":
        return None if program in PROGRAMS else "no program that a person has"
    try:
        understand(words)
    except typer.Exit:  # --help is understood, and ends the program
        return None
    except Exception as error:  # noqa: BLE001 (typer's own kinds have no common public base)
        return f"{type(error).__name__}: {error}"
    return None


def test_the_commands_exist() -> None:
    every = [*remedies(), *examples()]
    assert not [f"{found.where} {found.command}: {what}" for found in every if (what := problem(found))]


def test_there_are_remedies() -> None:
    assert len(list(remedies())) > 50
    assert any(found.command == "simmate-remote connect WORD" for found in remedies())


@pytest.mark.parametrize("words", [["conect", "x"], ["connect"], ["connect", "x", "--no"], ["hosts", "x"]])
def test_what_does_not_exist_is_not_understood(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        understand(words)
