"""``runs attach``, ``logs``, ``files``, ``cancel``, ``restart``, ``remove``: what is done with a run where it is."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from simmate_remote.cli.output import JsonOption, emit, note, only_the_document, safe, table
from simmate_remote.errors import (
    InventoryError,
    Remedy,
    RunError,
    SimmateRemoteError,
    error_from_dict,
    error_to_dict,
)
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.intents import ask_to_cancel, forget
from simmate_remote.runs.listing import HERE, find_run, read_run, shown_id
from simmate_remote.runs.local import open_rows
from simmate_remote.runs.shown import forget_shown
from simmate_remote.runs.states import ENDED

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or so much of its end that no other has it.")]
"""The type of every command's ``run`` parameter."""

RunIds = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, or their ends.")]


def attach(run: RunId, as_json: JsonOption = False) -> None:
    """Show how a run goes until it ends, and its result, as if it had been started here.

    Ctrl-C leaves it; it goes on.
    """
    from simmate_remote.cli.progress import RunProgress
    from simmate_remote.cli.run import end_is_shown, show_outcome
    from simmate_remote.workflows.attaching import attach as wait_for

    about = _about(run)
    with (
        only_the_document(as_json),
        end_is_shown(),
        _desk(about) as desk,
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

    about = _about(run)
    if about["host"] == HERE:
        from simmate_remote.cli.runs_here import output_here

        sys.stdout.writelines(output_here(about))
        return
    with _desk(about) as desk:
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

    about = _about(run)
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


def cancel(runs: RunIds, as_json: JsonOption = False) -> None:
    """Cancel runs: what waits is taken back, and programs that they run are ended.

    If a host cannot be reached it is told as soon as it can be. A run that has ended stays as it is.
    """
    rows = open_rows()
    several = Several(len(runs))
    wanted = []
    for about in [read_run(rows, find_run(rows, each)) for each in runs]:
        with several.one_of_them():
            _elsewhere(about)
            wanted.append(about)
    states: dict[str, str] = ask_to_cancel(rows, [about["id"] for about in wanted], time.time())
    rows.close()
    unknown = _tell_hosts({about["host"] for about in wanted if about["id"] not in states}, states)
    for about in wanted:
        run, state = shown_id(about["id"]), states.get(about["id"])
        if about["host"] in unknown and state is None:
            several.failed = True
            note(f"{run} cannot be cancelled now: {_since_unknown(unknown[about['host']])}")
        elif state is None:
            note(
                f"{about['host']} cannot be reached now; it is told to cancel {run} as soon as it can"
                f"\n  next:      simmate-remote connect {about['host']}"
            )
        elif about["state"] in ENDED:
            note(f"{run} was {state} already")
        elif state == "cancelled":
            note(f"{run} is cancelled")
        else:
            note(f"{run} had {state} before")
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


def restart(
    run: RunId,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Parameters that change; it is a new run then.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a run again that failed, was cancelled or was interrupted.

    On a host it goes on in its folder, where its programs begin with what is there. What ran on this machine runs in
    this terminal, where it ran before, as a new run.
    """
    from simmate_remote.cli.run import what_was_taken_is_told
    from simmate_remote.workflows.attaching import run_again

    changes = dict(_split(each) for each in parameters or ())
    about = _about(run)
    if about["host"] == HERE:
        from simmate_remote.cli.runs_here import restart_here

        restart_here(about, parameters or (), as_json)
        return
    with only_the_document(as_json), what_was_taken_is_told(), _desk(about) as desk:
        again = about["id"]
        if changes:
            again = run_again(desk, Spec.from_bytes(desk.fetch(again, "spec.json")), changes)
        else:
            # Of one that is under way the desk would say nothing: for it, a restart that came twice is no error.
            standing = desk.call("status", ids=[again]).get(again, {}).get("state")
            if standing in _UNDER_WAY:
                raise _has_not_ended(about, standing)
            desk.call("restart", id=again)
            forget_shown([again])
    note(f"{about['workflow']} runs again as {again}\n  next:      simmate-remote runs attach {shown_id(again)}")
    emit({"id": again}, as_json=as_json)


def remove(runs: RunIds, as_json: JsonOption = False) -> None:
    """Remove runs that have ended: their folders, with all files in them, and what is known of them here."""
    removed = []
    several = Several(len(runs))
    for each in runs:
        with several.one_of_them():
            about = _about(each)
            _remove(about)
            removed.append(about["id"])
            note(f"{shown_id(about['id'])} is removed")
    emit(removed, as_json=as_json)
    several.end()


def _remove(about: dict[str, Any]) -> None:
    if about["state"] == "lost":
        rows = open_rows()
        forget(rows, about["id"])
        rows.close()
    elif about["host"] == HERE:
        from simmate_remote.cli.runs_here import remove_here

        remove_here(about)
    else:
        with _desk(about) as desk:
            desk.call("remove", id=about["id"])


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


def _about(run: str) -> dict[str, Any]:
    rows = open_rows()
    about = read_run(rows, find_run(rows, run))
    rows.close()
    return about


def _elsewhere(about: dict[str, Any]) -> None:
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


@contextlib.contextmanager
def _desk(about: dict[str, Any]) -> Iterator[Any]:
    from simmate_remote.cli.connection import connected
    from simmate_remote.inventory import load_host

    _elsewhere(about)
    with connected(load_host(about["host"])) as desk:
        yield desk


class _Change(NamedTuple):
    name: str
    value: str


def _split(word: str) -> _Change:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{word!r} is not of the form NAME=VALUE")
    return _Change(name, value)
