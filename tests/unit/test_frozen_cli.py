"""The command line is a promise: commands and options change only together with ``tests/frozen_cli.txt``.

``python -m tests.unit.test_frozen_cli`` writes that file anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from simmate_remote.cli.app import COMMANDS, app, load_command

FROZEN = Path(__file__).parents[1] / "frozen_cli.txt"


def tree() -> str:
    """Give a line for each command, with its arguments and options."""
    lines = [_line("simmate-remote", typer.main.get_command(app))]
    for name in sorted(COMMANDS):
        lines += _lines(f"simmate-remote {name}", load_command(name))
    return "\n".join(lines) + "\n"


def _lines(path: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name in sorted(command.commands):
            yield from _lines(f"{path} {name}", command.commands[name])
    else:
        yield _line(path, command)


def _line(path: str, command: Any) -> str:
    words = [path]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words.append(parameter.metavar or parameter.name.upper())
        elif parameter.name != "help":
            value = "" if parameter.is_flag else f" {parameter.metavar}"
            words.append("/".join([*parameter.opts, *parameter.secondary_opts]) + value)
    return " ".join(words)


def test_the_command_line_is_as_promised() -> None:
    assert tree() == FROZEN.read_text()


if __name__ == "__main__":
    FROZEN.write_text(tree())
