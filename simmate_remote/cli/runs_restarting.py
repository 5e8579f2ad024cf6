"""``runs restart``: a run again, or all that the options choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import typer

from simmate_remote.cli.output import JsonOption, emit, note, only_the_document
from simmate_remote.cli.runs_meant import (
    Deed,
    FailedOption,
    OnOption,
    Several,
    SinceOption,
    StateOption,
    WorkflowOption,
    YesOption,
    about_run,
    by_host,
    desk_of,
    filter_of,
    runs_meant,
)
from simmate_remote.errors import Remedy, RunError
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.listing import HERE, Filter, shown_id
from simmate_remote.runs.local import open_rows
from simmate_remote.runs.shown import forget_shown


def restart(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's id, or its end; or choose runs by the options.")
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Parameters that change; it is a new run then.")
    ] = None,
    failed: FailedOption = False,
    state: StateOption = None,
    on: OnOption = None,
    workflow: WorkflowOption = None,
    since: SinceOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Begin again what failed, was cancelled or was interrupted: one run by its id, or all that the options choose.

    On a host a run goes on in its folder, where its programs begin with what is there. What ran on this machine runs in
    this terminal, where it ran before, as a new run.
    """
    words = list(parameters or ())
    if run is not None and "=" in run:
        words, run = [run, *words], None
    changes = dict(_split(each) for each in words)
    wanted = filter_of(failed=failed, state=state, on=on, workflow=workflow, since=since)
    if run is None or wanted != Filter():
        _restart_many(run, wanted, changes, yes=yes, as_json=as_json)
        return
    about = about_run(run)
    if about["host"] == HERE:
        from simmate_remote.cli.runs_here import restart_here

        restart_here(about, words, as_json)
        return
    with only_the_document(as_json), _told_what_was_taken(), desk_of(about) as desk:
        again = _restart_there(desk, about, changes)
    note(f"{about['workflow']} runs again as {again}\n  next:      simmate-remote runs attach {shown_id(again)}")
    emit({"id": again}, as_json=as_json)


def _restart_many(run: str | None, wanted: Filter, changes: Mapping[str, str], *, yes: bool, as_json: bool) -> None:
    among = ("failed", "cancelled", "finished") if changes and "finished" in wanted.states else ("failed", "cancelled")
    rows = open_rows()
    named = None if run is None else [run]
    ids = runs_meant(rows, named, wanted, among=among, deed=Deed("restart", "restarted"), yes=yes)
    rows.close()
    hosts = by_host([about_run(each) for each in ids])
    if ours := hosts.pop(HERE, ()):
        note(
            f"{len(ours):,} of them ran on this machine, and would run in this terminal: they are left out"
            f"\n  next:      simmate-remote runs restart {shown_id(ours[0]['id'])}    (one of them)"
        )
    several = Several(max(2, len(ids)))  # also of a single one it is said what the others would be said of
    again: dict[str, str] = {}
    for abouts in hosts.values():
        with several.one_of_them(), only_the_document(as_json), _told_what_was_taken(), desk_of(abouts[0]) as desk:
            for about in abouts:
                with several.one_of_them():
                    again[about["id"]] = _restart_there(desk, about, changes)
                    note(f"{about['workflow']} {shown_id(about['id'])} runs again as {shown_id(again[about['id']])}")
    emit(again, as_json=as_json)
    several.end()


def _restart_there(desk: Any, about: dict[str, Any], changes: Mapping[str, str]) -> str:
    """Restart a run on its host, and give the id that it has now."""
    from simmate_remote.workflows.attaching import run_again

    run: str = about["id"]
    if changes:
        return run_again(desk, Spec.from_bytes(desk.fetch(run, "spec.json")), changes)
    # Of one that is under way the desk would say nothing: for it, a restart that came twice is no error.
    standing = desk.call("status", ids=[run]).get(run, {}).get("state")
    if standing in _UNDER_WAY:
        raise _has_not_ended(about, standing)
    desk.call("restart", id=run)
    forget_shown([run])
    return run


def _told_what_was_taken() -> Any:
    from simmate_remote.cli.run import what_was_taken_is_told

    return what_was_taken_is_told()


_UNDER_WAY = {
    "queued": "it waits to be begun",
    "running": "it is running",
    "interrupted": "its last attempt was interrupted, and it waits to be begun again by itself",
}


def _has_not_ended(about: dict[str, Any], state: str) -> RunError:
    run = shown_id(about["id"])
    return RunError(
        f"{about['workflow']} {run} has not ended: {_UNDER_WAY[state]}",
        host=about["host"],
        run=about["id"],
        folder=about["folder"],
        meanwhile="it goes on as it is; nothing was begun",
        remedies=(
            Remedy(f"simmate-remote runs attach {run}", "shows how it goes until it ends"),
            Remedy(f"simmate-remote runs cancel {run}", "ends it; then it can be restarted"),
        ),
    )


class _Change(NamedTuple):
    name: str
    value: str


def _split(word: str) -> _Change:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{word!r} is not of the form NAME=VALUE")
    return _Change(name, value)
