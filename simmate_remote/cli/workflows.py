"""``workflows``: which there are, and what each of them takes."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from simmate_remote.cli.output import JsonOption, emit, note, only_the_document, table
from simmate_remote.workflows.listing import list_workflows
from simmate_remote.workflows.signatures import UNKNOWN
from simmate_remote.workflows.target import load_target
from simmate_remote.workflows.workflow import Workflow

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def workflows() -> None:
    """The workflows of a file, of a package, or of what is installed: list, show."""


@app.command("list")
def list_(
    place: Annotated[
        str | None,
        typer.Argument(metavar="FILE.py|PACKAGE", help="Where to look [default: what installed packages make known]."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List workflows, with what `simmate-remote run` calls them."""
    with only_the_document(as_json):
        found = list_workflows(place)
    rows = [(each.name, each.version, each.target, each.summary) for each in found]
    emit([each._asdict() for each in found], human=table(("name", "version", "run", ""), rows), as_json=as_json)
    if not found:
        note("There is none. A workflow is a function at the top of a module, below `@workflow`.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of the list; or FILE.py:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a workflow is for, and its parameters."""
    with only_the_document(as_json):
        target = load_target(name)
    found = target.function
    version = found.version if isinstance(found, Workflow) else None
    text = inspect.getdoc(found) or ""
    parameters = [_describe(each) for each in inspect.signature(found).parameters.values()]
    data = {"name": target.name, "version": version, "target": name, "text": text, "parameters": parameters}
    rows = [(each["name"], each["type"], each["default"]) for each in parameters]
    emit(data, human=table((target.name, "type", "default"), rows), as_json=as_json)
    if text and not as_json:
        note(f"\n{text}")


def _describe(parameter: inspect.Parameter) -> dict[str, Any]:
    annotation = parameter.annotation
    kind = None if annotation is UNKNOWN else inspect.formatannotation(annotation).strip("'")
    default = None if parameter.default is UNKNOWN else repr(parameter.default)
    return {"name": parameter.name, "type": kind, "default": default}
