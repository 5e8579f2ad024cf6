"""``runs attach``, ``logs``, ``files``, ``cancel``, ``remove``: what is done with a run where it is."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from simmate_remote.cli.output import JsonOption, emit, note, only_the_document, safe, table
from simmate_remote.cli.runs_meant import (
    Deed,
    FailedOption,
    OnOption,
    RunId,
    RunIds,
    Several,
    SinceOption,
    StateOption,
    WorkflowOption,
    YesOption,
    about_run,
    by_host,
    desk_of,
    filter_of,
    refuse_here,
    runs_meant,
)
from simmate_remote.errors import (
    InventoryError,
    error_from_dict,
    error_to_dict,
)
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.intents import ask_to_cancel, forget
from simmate_remote.runs.listing import HERE, find_run, read_run, shown_id
from simmate_remote.runs.local import open_rows
from simmate_remote.runs.states import ENDED

CANCELLABLE = ("queued", "running", "interrupted")
REMOVABLE = (*ENDED, "lost")


def attach(run: RunId, as_json: JsonOption = False) -> None:
    """Show how a run goes until it ends, and its result, as if it had been started here.

    Ctrl-C leaves it; it goes on.
    """
    from simmate_remote.cli.progress import RunProgress
    from simmate_remote.cli.run import end_is_shown, show_outcome
    from simmate_remote.workflows.attaching import attach as wait_for

    about = about_run(run)
    with (
        only_the_document(as_json),
        end_is_shown(),
        desk_of(about) as desk,
        RunProgress(about["workflow"], live=True) as progress,
    ):
        spec = Spec.from_bytes(desk.fetch(about["id"], "spec.json"))
        outcome = wait_for(desk, spec, about["folder"], progress.tasks, progress)
    show_outcome(outcome, about["workflow"], about["host"], as_json)


def logs(
    run: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
) -> None:
    """Print what a run has printed."""
    from simmate_remote.session.run_output import output_of

    about = about_run(run)
    if about["host"] == HERE:
        from simmate_remote.cli.runs_here import output_here

        sys.stdout.writelines(output_here(about))
        return
    with desk_of(about) as desk:
        for text in output_of(desk, about["id"], follow=follow):
            # What a host says reaches a terminal without control characters.
            sys.stdout.write(safe(text).plain if sys.stdout.isatty() else text)
            sys.stdout.flush()


def files(
    run: RunId,
    get: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Fetch those whose names match, such as '*.out'.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder here that they go into [default: run-RUN].")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the files that a run has made, or fetch them.

    What is here already is not fetched again, and what was broken off goes on.
    """
    from simmate_remote.cli.files import run_transfer, show_transfer
    from simmate_remote.workflows.run_files import order_of_fetch, order_of_list, sizes_in

    about = about_run(run)
    if about["host"] == HERE:
        from simmate_remote.cli.runs_here import refuse_files

        refuse_files(about)
    if get is not None:
        target = to or Path(f"run-{shown_id(about['id'])}")
        target.mkdir(exist_ok=True)
        outcome = run_transfer(about["host"], order_of_fetch(about["folder"], get, target))
        show_transfer(about["host"], outcome, as_json)
        return
    made = sizes_in(run_transfer(about["host"], order_of_list(about["folder"])))
    found = [{"path": path, "size": size} for path, size in made.items()]
    rows = [(f"{each['size']:,}", each["path"]) for each in found]
    if not found:
        note(f"{about['workflow']} {shown_id(about['id'])} has made no files")
    emit(found, human=table(("bytes", "file"), rows) if rows else None, as_json=as_json)


def cancel(
    runs: RunIds = None,
    state: StateOption = None,
    on: OnOption = None,
    workflow: WorkflowOption = None,
    since: SinceOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cancel runs: what waits is taken back, and programs that they run are ended.

    If a host cannot be reached it is told as soon as it can be. A run that has ended stays as it is.
    """
    rows = open_rows()
    wanted_by = filter_of(failed=False, state=state, on=on, workflow=workflow, since=since)
    runs = runs_meant(rows, runs, wanted_by, among=CANCELLABLE, deed=Deed("cancel", "cancelled"), yes=yes)
    several = Several(len(runs))
    wanted = []
    for about in [read_run(rows, find_run(rows, each)) for each in runs]:
        with several.one_of_them():
            refuse_here(about)
            wanted.append(about)
    states: dict[str, str] = ask_to_cancel(rows, [about["id"] for about in wanted], time.time())
    rows.close()
    unknown = _tell_hosts({about["host"] for about in wanted if about["id"] not in states}, states)
    for about in wanted:
        run, now = shown_id(about["id"]), states.get(about["id"])
        if about["host"] in unknown and now is None:
            several.failed = True
            note(f"{run} cannot be cancelled now: {_since_unknown(unknown[about['host']])}")
        elif now is None:
            note(
                f"{about['host']} cannot be reached now; it is told to cancel {run} as soon as it can"
                f"\n  next:      simmate-remote connect {about['host']}"
            )
        elif about["state"] in ENDED:
            note(f"{run} was {now} already")
        elif now == "cancelled":
            note(f"{run} is cancelled")
        else:
            note(f"{run} had {now} before")
    emit({about["id"]: states.get(about["id"], "to be cancelled") for about in wanted}, as_json=as_json)
    several.end()


def _tell_hosts(hosts: set[str], states: dict[str, str]) -> dict[str, InventoryError]:
    """Let hosts be told which runs are to be cancelled; what they say of them is added to the states.

    Returns:
        Why there are hosts among them that the inventory does not know now.
    """
    from simmate_remote.inventory import load_host
    from simmate_remote.session.cancelling import deliver_to

    unknown: dict[str, InventoryError] = {}
    for name in sorted(hosts):
        try:
            host = load_host(name)
        except InventoryError as error:
            unknown[name] = error
        else:
            told = asyncio.run(deliver_to(host))
            states |= told or {}
    return unknown


def _since_unknown(error: InventoryError) -> str:
    meanwhile = "that it is to be is kept here, and the host is told when it is connected again"
    return str(error_from_dict(error_to_dict(error) | {"meanwhile": meanwhile}))


def remove(
    runs: RunIds = None,
    failed: FailedOption = False,
    state: StateOption = None,
    on: OnOption = None,
    workflow: WorkflowOption = None,
    since: SinceOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove runs that have ended: their folders, with all files in them, and what is known of them here."""
    rows = open_rows()
    wanted_by = filter_of(failed=failed, state=state, on=on, workflow=workflow, since=since)
    runs = runs_meant(rows, runs, wanted_by, among=REMOVABLE, deed=Deed("remove", "removed"), yes=yes)
    rows.close()
    several = Several(len(runs))
    found: list[dict[str, Any]] = []
    for each in runs:
        with several.one_of_them():
            found.append(about_run(each))
    removed: list[str] = []
    there = [about for about in found if about["host"] != HERE and about["state"] != "lost"]
    for about in [about for about in found if about not in there]:
        with several.one_of_them():
            _remove_here(about)
            removed.append(_is_removed(about))
    # One connection for all of a host: where none is, each would be a login.
    for group in by_host(there).values():
        with several.one_of_them(), desk_of(group[0]) as desk:
            for about in group:
                with several.one_of_them():
                    desk.call("remove", id=about["id"])
                    removed.append(_is_removed(about))
    emit(removed, as_json=as_json)
    several.end()


def _remove_here(about: dict[str, Any]) -> None:
    if about["state"] == "lost":
        rows = open_rows()
        forget(rows, about["id"])
        rows.close()
    else:
        from simmate_remote.cli.runs_here import remove_here

        remove_here(about)


def _is_removed(about: dict[str, Any]) -> str:
    run = str(about["id"])
    note(f"{shown_id(run)} is removed")
    return run
