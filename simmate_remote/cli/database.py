"""``simmate-remote database``: where runs and results are kept."""

from __future__ import annotations

import typer

from simmate_remote.cli.output import JsonOption, emit

app = typer.Typer(
    help="The database that runs and results are kept in.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show which database is used, and who says so."""
    from simmate_remote.database.configuration import load

    configuration = load()
    data = {"kind": configuration.kind, "address": configuration.shown, "source": configuration.source}
    emit(data, human=f"{configuration.shown}\n  said by {configuration.source}", as_json=as_json)


@app.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Make the tables what this version of the program expects."""
    from simmate_remote.database import engine, schema

    before, now = schema.upgrade(engine)
    data = {"before": before, "now": now}
    said = (
        "the tables are up to date" if before == now else f"the tables were brought from {before or 'nothing'} to {now}"
    )
    emit(data, human=said, as_json=as_json)
