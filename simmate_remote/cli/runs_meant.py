"""The runs that a command is about: named one by one or chosen by filters, and each where it is."""

from __future__ import annotations

import contextlib
import enum
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import typer

from simmate_remote.cli.output import err, note
from simmate_remote.cli.runs_table import runs_table
from simmate_remote.database.plain import Plain
from simmate_remote.errors import Remedy, RunError, SimmateRemoteError
from simmate_remote.runs.listing import HERE, Filter, find_run, list_runs, read_run, shown_id, since_when
from simmate_remote.runs.local import open_rows
from simmate_remote.runs.states import TRANSITIONS

SHOWN = 10
"""Runs that are shown before a person is asked whether all that were chosen are meant."""

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or so much of its end that no other has it.")]
"""The type of every command's ``run`` parameter."""

RunIds = Annotated[
    list[str] | None, typer.Argument(metavar="RUN...", help="Ids, or their ends; or choose runs by the options.")
]

State = enum.StrEnum("State", {state: state for state in TRANSITIONS})  # type: ignore[misc]
FailedOption = Annotated[bool, typer.Option("--failed", help="Those that failed.")]
StateOption = Annotated[
    list[State] | None,
    typer.Option("--state", metavar="STATE", help=f"Those in this state, {', '.join(TRANSITIONS)}; may be repeated."),
]
OnOption = Annotated[
    list[str] | None, typer.Option("--on", metavar="HOST", help="Those on this host, or `here`; may be repeated.")
]
WorkflowOption = Annotated[
    str | None, typer.Option("--workflow", metavar="NAME", help="Those of this workflow; `relax*` works.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Those created since `2 h` ago, or since a date.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask whether all that the options choose are meant.")]


class Deed(NamedTuple):
    """What can be done with runs.

    Args:
        verb: What it is called.
        done: Its participle.
    """

    verb: str
    done: str


def filter_of(
    *,
    failed: bool,
    state: Sequence[State] | None,
    on: Sequence[str] | None,
    workflow: str | None,
    since: str | None,
    before: str | None = None,
    limit: int | None = None,
) -> Filter:
    """Read the options that choose runs; what they mean is in their own help.

    Raises:
        BadParameter: A time that is none.
    """
    try:
        moment = None if since is None else since_when(since, time.time())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    return Filter(
        states=tuple(str(each) for each in state or ()) + (("failed",) if failed else ()),
        on=tuple(on or ()),
        workflow=workflow,
        since=moment,
        before=before,
        limit=limit,
    )


def runs_meant(
    rows: Plain, named: Sequence[str] | None, wanted: Filter, *, among: Collection[str], deed: Deed, yes: bool
) -> list[str]:
    """Give the runs that are named; or choose some, show them, and ask whether they are meant.

    Args:
        rows: The database.
        named: Ids, or parts of them.
        wanted: Which, where none are named.
        among: The states of those with which that can be done.
        deed: What shall be done with them.
        yes: Whether nobody is asked.

    Raises:
        BadParameter: Both, or neither; or only such with which that cannot be done.
        RunError: Somebody would have to be asked, and there is no terminal.
        Exit: They are not meant.
    """
    by_filter = wanted != Filter()
    if bool(named) is by_filter:
        what = "either runs are named, or options choose them" if named else "name runs, or choose some by options"
        raise typer.BadParameter(f"{what}, such as --workflow and --since", param_hint="RUN...")
    if named:
        return list(named)
    states = [state for state in wanted.states or among if state in among]
    if not states:
        can = ", ".join(among)
        raise typer.BadParameter(f"what is {wanted.states[0]} cannot be {deed.done}; {can} can", param_hint="--state")
    found = list(list_runs(rows, replace(wanted, states=tuple(states))))
    if not found:
        note(f"There is no such run to {deed.verb}.")
    elif not yes:
        _ask(found, deed)
    return [each["id"] for each in found]


def _ask(found: list[dict[str, Any]], deed: Deed) -> None:
    count = f"{len(found):,} runs" if len(found) > 1 else "one run"
    if not sys.stdin.isatty():
        raise RunError(
            f"whether {count} shall be {deed.done} can be asked in a terminal only",
            meanwhile="nothing was done with any of them",
            remedies=(Remedy("simmate-remote runs list", "with the same options, shows them; then add --yes"),),
        )
    err.print(runs_table(found[:SHOWN]))
    if len(found) > SHOWN:
        note(f"and {len(found) - SHOWN:,} more")
    if not typer.confirm(f"{deed.verb.capitalize()} {'these ' if len(found) > 1 else ''}{count}?", err=True):
        raise typer.Exit(1)


class Several:
    """Several runs of one command: what goes wrong with one of them is said, and the others are acted on.

    Args:
        count: How many there are; of a single one the error is the command's.

    Attributes:
        failed: Whether something went wrong.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.failed = False

    @contextlib.contextmanager
    def one_of_them(self) -> Iterator[None]:
        """Do something with one of them."""
        try:
            yield
        except SimmateRemoteError as error:
            if self._count == 1:
                raise
            self.failed = True
            note(str(error))

    def end(self) -> None:
        """Exit with 1 if something went wrong."""
        if self.failed:
            raise typer.Exit(1)


def about_run(run: str) -> dict[str, Any]:
    """Give all that is known of a run, by its id or a part of it."""
    rows = open_rows()
    about = read_run(rows, find_run(rows, run))
    rows.close()
    return about


def by_host(abouts: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give runs by the host where they are."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for about in abouts:
        groups.setdefault(about["host"], []).append(about)
    return groups


def refuse_here(about: dict[str, Any]) -> None:
    """Check that a run is on a host.

    Raises:
        RunError: It is one of this machine's programs'.
    """
    if about["host"] == HERE:
        from simmate_remote.cli.runs_here import refuse_unended

        refuse_unended(about)
        raise RunError(
            f"this run of this machine's own programs is {about['state']}: there is nothing to wait for, or to end",
            run=about["id"],
            folder=about["folder"],
            remedies=(Remedy(f"simmate-remote runs show {shown_id(about['id'])}", "shows all that is known of it"),),
        )


@contextlib.contextmanager
def desk_of(about: dict[str, Any]) -> Iterator[Any]:
    """Reach the desk of the host where a run is."""
    from simmate_remote.cli.connection import connected
    from simmate_remote.inventory import load_host

    refuse_here(about)
    with connected(load_host(about["host"])) as desk:
        yield desk
