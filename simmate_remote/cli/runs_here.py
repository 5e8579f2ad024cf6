"""What is done with runs that this machine's own programs made, without a host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simmate_remote.cli.output import note, only_the_document
from simmate_remote.cli.progress import RunProgress
from simmate_remote.cli.run import show_outcome
from simmate_remote.errors import Remedy, RunError
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.listing import shown_id
from simmate_remote.runs.local import open_rows
from simmate_remote.runs.recording import remove_recorded
from simmate_remote.workflows.again import once_more
from simmate_remote.workflows.running import run_target


def restart_here(about: dict[str, Any], words: Sequence[str], as_json: bool) -> None:
    """Run a run again in this terminal, as a new run that names it.

    Args:
        about: What is known of it.
        words: Parameters that change, each ``NAME=VALUE``.
        as_json: Whether ``--json`` was given.

    Raises:
        RunError: It has not ended, or has finished and nothing changes.
        WorkflowError: Its code or its parameters cannot be had again.
    """
    refuse_unended(about)
    if about["state"] == "finished" and not words:
        shown = shown_id(about["id"])
        raise RunError(
            f"the run {about['id']} has finished, and is not run again",
            run=about["id"],
            remedies=(
                Remedy(f"simmate-remote runs show {shown}", "shows its result"),
                Remedy(f"simmate-remote runs restart {shown} NAME=VALUE", "runs it with another value"),
            ),
        )
    with only_the_document(as_json):
        again = once_more(RunFolder(Path(about["folder"])).spec(), about["worker"] or "", words)
        place = "in this process" if again.place == "serial" else "on this machine"
        note(f"{again.target.name} runs again {place}, in {again.folder}, as a new run")
        name, at = again.target.name, again.place
        with contextlib.chdir(again.folder), RunProgress(name, live=at != "serial") as progress:
            outcome = run_target(
                again.target, again.parameters, at, on_update=progress, tasks=progress.tasks, again=about["id"]
            )
    show_outcome(outcome, name, at, as_json)


def output_here(about: dict[str, Any]) -> Iterator[str]:
    """Yield what is kept of what a run printed; what a run in a terminal prints is there, and nowhere else."""
    try:
        yield RunFolder(Path(about["folder"])).output.read_text(errors="replace")
    except FileNotFoundError:
        note(f"{shown_id(about['id'])} printed where its program ran, or nothing: nothing of it is kept")


def refuse_files(about: dict[str, Any]) -> None:
    """Say where the files of a run are.

    Raises:
        RunError: Always: it has no folder of its own for them.
    """
    where = RunFolder(Path(about["folder"])).spec().payload.get("cwd") or "a folder that is not known"
    raise RunError(
        f"a run of this machine's own programs writes where it runs, which was {where}",
        run=about["id"],
        meanwhile="its files are there, as far as it made any and nobody has moved them",
    )


def remove_here(about: dict[str, Any]) -> None:
    """Remove a run: its folder, and its rows.

    Raises:
        RunError: It has not ended.
    """
    refuse_unended(about)
    remove_recorded(about["id"])
    open_rows().close()


def refuse_unended(about: dict[str, Any]) -> None:
    """Check that no program executes a run any more.

    Raises:
        RunError: One does.
    """
    if about["state"] != "running":
        return
    process = about["all_attempts"][-1]["pid"] if about["all_attempts"] else None
    raise RunError(
        f"{about['workflow']} is executed by the process {process} of this machine",
        run=about["id"],
        since=about["started"],
        meanwhile="it goes on",
        remedies=(Remedy(f"simmate-remote runs show {shown_id(about['id'])}", "shows how it stands"),),
        detail="Ctrl-C in the terminal of that program ends it.",
    )
