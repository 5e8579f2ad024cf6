"""One way to print: for people on a terminal, or JSON for programs.

With ``--json``, stdout carries one JSON document (or one a line, of a stream) and nothing else; what people want to
read meanwhile goes to stderr.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import math
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from simmate_remote.errors import Remedy, SimmateRemoteError, error_to_dict

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
"""The type of every command's ``as_json`` parameter."""

Human = RenderableType | Callable[[], object] | None
"""What a person reads: a text, a renderable of rich, or a function that prints by itself."""

out = Console(highlight=False, emoji=False)
"""Where results go."""

err = Console(stderr=True, highlight=False, emoji=False)
"""Where progress, notes and errors go."""


def emit(data: object, *, human: Human = None, as_json: bool = False) -> None:
    """Print the result of a command.

    Args:
        data: The result as plain data, dataclasses or pydantic models; printed with ``as_json``.
        human: The same for a person.
        as_json: Whether ``--json`` was given.
    """
    if as_json:
        print(json.dumps(plain(data), indent=2), flush=True)  # noqa: T201 - a document is bytes, not a rendering
    else:
        _show(human)


def emit_line(data: object, *, human: Human = None, as_json: bool = False) -> None:
    """Print one entry of a stream; with ``as_json`` it is one JSON document on a line of its own."""
    if as_json:
        print(json.dumps(plain(data)), flush=True)  # noqa: T201
    else:
        _show(human)


def emit_array(entries: Iterable[object]) -> None:
    """Print a JSON array, an entry at a time: it may have more of them than memory has room for."""
    separator = "["
    for entry in entries:
        print(separator, json.dumps(plain(entry)), sep="\n", end="")  # noqa: T201
        separator = ","
    print("[]" if separator == "[" else "\n]", flush=True)  # noqa: T201


def emit_csv(columns: Sequence[str], entries: Iterable[Mapping[str, object]]) -> None:
    """Print a table as comma-separated values, a row at a time; what is neither text nor number stands as JSON."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for entry in entries:
        writer.writerow(_cell(entry[column]) for column in columns)


def _cell(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(plain(value))


def _show(human: Human) -> None:
    if isinstance(human, str):
        out.print(safe(human), soft_wrap=True)
    elif callable(human) and not isinstance(human, Table | Text):
        human()
    elif human is not None:
        out.print(human)


def only_the_document(as_json: bool) -> contextlib.AbstractContextManager[object]:
    """Keep stdout for the one document for the time of a block, whatever code of the user's prints in it.

    Args:
        as_json: Whether ``--json`` was given.
    """
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def note(text: str) -> None:
    """Tell a person something on stderr that is no part of the result."""
    err.print(safe(text), soft_wrap=True)


@contextlib.contextmanager
def warnings_as_notes(category: type[Warning]) -> Iterator[None]:
    """Tell a person warnings of a kind as notes for the time of a block; the others stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", category)
        usual = warnings.showwarning

        def show(message: Warning | str, kind: type[Warning], *where: Any) -> None:
            if issubclass(kind, category):
                note(str(message))
            else:
                usual(message, kind, *where)

        warnings.showwarning = show  # type: ignore[assignment]  # the rest of its arguments is passed on as it comes
        yield


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Make a plain table; long cells are folded, never cut.

    Args:
        columns: The headings.
        rows: As many cells each; ``None`` is shown as a dash.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else safe("-" if cell is None else str(cell)) for cell in row))
    return grid


def safe(text: str, style: str = "") -> Text:
    """Take a text literally: no markup, and no control character reaches the terminal.

    Args:
        text: Any text, such as a server's own words.
        style: A style of rich for all of it.
    """
    shown = "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in text
    )
    return Text(shown, style=style)


def plain(value: object) -> Any:
    """Turn a value into what JSON can express; what it cannot is given as its ``repr``."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return repr(value)


def print_error(error: Exception, *, as_json: bool, debug: bool) -> None:
    """Print what went wrong, for a person on stderr or as JSON on stdout.

    Args:
        error: One of ours, or one that nobody expected.
        as_json: Whether ``--json`` was given.
        debug: Whether the traceback is wanted, too; it goes to stderr.
    """
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    if not isinstance(error, SimmateRemoteError):
        error = _unexpected(error)
    if as_json:
        emit(error_to_dict(error), as_json=True)
        return
    first, _, rest = str(error).partition("\n")
    err.print(safe(first, "bold red"), soft_wrap=True)
    if rest:
        err.print(safe(rest), soft_wrap=True)


def _unexpected(error: Exception) -> SimmateRemoteError:
    return SimmateRemoteError(
        f"an error that simmate-remote did not expect: {type(error).__name__}: {error}",
        remedies=(Remedy("simmate-remote --debug --help", "--debug, before the command, shows the traceback"),),
    )
