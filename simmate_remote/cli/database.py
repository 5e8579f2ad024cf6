"""``simmate-remote database``: where runs and results are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simmate_remote.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from simmate_remote.database.state import DatabaseState

app = typer.Typer(
    help="The database that runs and results are kept in.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show which database is used, who says so, and how it is. An embedded one is not started for it."""
    from simmate_remote.database.configuration import load
    from simmate_remote.database.state import look

    state = look(load())
    emit(state, human=_describe(state), as_json=as_json)


@app.command()
def url(
    password: Annotated[bool, typer.Option("--password", help="Print the password in it, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the address for other programs, without the password: libpq finds that in the file which it names.

    An embedded database is started, and stays for as long as something is connected to it.
    """
    from simmate_remote.database.address import url_of
    from simmate_remote.database.configuration import load

    address = url_of(load(), with_password=password)
    emit({"url": address}, human=address, as_json=as_json)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context) -> None:
    """Open the database's own prompt: psql, or sqlite3. What stands after it is for that program."""
    from simmate_remote.database.address import run_shell
    from simmate_remote.database.configuration import load

    raise typer.Exit(run_shell(load(), context.args))


@app.command()
def backup(
    file: File,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the whole database to a file, while it is used."""
    from simmate_remote.database import backup as backups
    from simmate_remote.database.configuration import load

    size = backups.backup(load(), file.absolute(), overwrite=force)
    emit({"file": file, "size": size}, human=f"{file}: {size / 1e6:.1f} MB", as_json=as_json)


@app.command()
def restore(
    file: File,
    replace: Annotated[bool, typer.Option("--replace", help="Lose the runs that are in the database now.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take over a backup, of this machine or another: all of it, or nothing."""
    from simmate_remote.database import backup as backups
    from simmate_remote.database import engine, schema
    from simmate_remote.database.configuration import load

    backups.restore(load(), file.absolute(), replace=replace)
    _, now = schema.upgrade(engine)
    emit({"file": file, "version": now}, human=f"{file} was restored", as_json=as_json)


@app.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Make the tables what this version of the program expects."""
    from simmate_remote.database import engine, schema

    before, now = schema.upgrade(engine)
    said = (
        "the tables are up to date" if before == now else f"the tables were brought from {before or 'nothing'} to {now}"
    )
    emit({"before": before, "now": now}, human=said, as_json=as_json)


def _describe(state: DatabaseState) -> str:
    tables = f"version {state.version}" if state.version else "none yet"
    lines = [
        state.address,
        f"  state:   {state.state}" + (f", {state.server}" if state.server else ""),
        f"  said by: {state.source}",
        f"  reached: from {state.reach}",
    ]
    if state.size is not None:
        lines.append(f"  size:    {state.size / 1e6:.1f} MB")
    if state.state == "answers":
        lines.append(
            f"  tables:  {tables}" + (f"; {state.expected} is expected" if state.version != state.expected else "")
        )
    return "\n".join(lines)
