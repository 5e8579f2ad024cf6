"""``runs``: every run, anywhere: which there are, and all about one."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from simmate_remote.cli.output import JsonOption, emit, emit_array, emit_csv, note
from simmate_remote.cli.runs_acting import attach, cancel, files, logs, remove
from simmate_remote.cli.runs_meant import (
    FailedOption,
    OnOption,
    RunId,
    SinceOption,
    StateOption,
    WorkflowOption,
    filter_of,
)
from simmate_remote.cli.runs_restarting import restart
from simmate_remote.cli.runs_table import print_run, runs_table, since_told
from simmate_remote.runs.listing import COLUMNS, find_run, list_runs, read_run
from simmate_remote.runs.local import open_rows
from simmate_remote.runs.news import news_in_words, take_news
from simmate_remote.runs.results import result_in_words

FIRST_PAGE = 30


class ListByDefault(TyperGroup):
    """A group whose command is ``list`` where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` before options that stand alone."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ListByDefault, add_completion=False, rich_markup_mode=None)

for command in (attach, logs, files, cancel, restart, remove):
    app.command()(command)


@app.callback()
def runs() -> None:
    """Every run, here and on any host, finished or not. Without a command: the newest."""


@app.command("list")
def list_(
    failed: FailedOption = False,
    state: StateOption = None,
    on: OnOption = None,
    workflow: WorkflowOption = None,
    since: SinceOption = None,
    before: Annotated[str | None, typer.Option(metavar="RUN", help="Those older than this run: the next page.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="COUNT", help=f"So many at the most [default: {FIRST_PAGE}; with --json or --csv: all]."
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values instead of text.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List runs, the newest first."""
    rows = open_rows()
    machine_reads = as_csv or as_json
    wanted = filter_of(
        failed=failed,
        state=state,
        on=on,
        workflow=workflow,
        since=since,
        before=None if before is None else find_run(rows, before),
        limit=limit if limit or machine_reads else FIRST_PAGE + 1,
    )
    found = list_runs(rows, wanted)
    if as_json:
        emit_array(found)
    elif as_csv:
        emit_csv(COLUMNS, found)
    else:
        _show_page(list(found), limit)
        for line in news_in_words(news := take_news(rows, time.time()), since_told(news)):
            note(line)
    rows.close()


def _show_page(page: list[dict[str, Any]], limit: int | None) -> None:
    shown = page if limit else page[:FIRST_PAGE]
    if not shown:
        note("There is no such run.\n  next:      simmate-remote run FILE.py:FUNCTION --on HOST    (makes one)")
        return
    emit(None, human=runs_table(shown))
    if len(page) > len(shown):
        note(f"and older ones: simmate-remote runs list --before {shown[-1]['id']}")


@app.command()
def show(run: RunId, as_json: JsonOption = False) -> None:
    """Show all about one run: parameters, attempts, corrections, result or error."""
    rows = open_rows()
    about = read_run(rows, find_run(rows, run))
    rows.close()
    emit(about, human=lambda: print_run(about, result_in_words(about)), as_json=as_json)
