"""``run``: a function or workflow, its parameters, and the place where it runs."""

from __future__ import annotations

import contextlib
import importlib.util
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.pretty import pretty_repr

from simmate_remote.cli.connection import connected
from simmate_remote.cli.output import (
    JsonOption,
    emit,
    emit_line,
    err,
    note,
    only_the_document,
    out,
    plain,
    safe,
    warnings_as_notes,
)
from simmate_remote.cli.progress import RunProgress
from simmate_remote.cli.run_many import run_many
from simmate_remote.errors import (
    CodeDiffersWarning,
    Remedy,
    RunDamagedError,
    RunInterruptedError,
    SimmateRemoteError,
    error_to_dict,
)
from simmate_remote.inventory import load_host
from simmate_remote.runs.shown import note_shown
from simmate_remote.workflows.desk_watch import RunDesk
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.places import Place
from simmate_remote.workflows.resources import start_at_desk
from simmate_remote.workflows.run_handle import RunHandle
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.sets import parameter_sets
from simmate_remote.workflows.target import load_target

HERE: dict[str, Place] = {"serial": "serial", "local": "local"}
"""Places that are no host; a host of such a name would need another one."""


def run(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:FUNCTION",
            help="What to run; or package.module:FUNCTION, or a name that `simmate-remote workflows list` shows.",
        ),
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="Its parameters; a pattern such as structure='*.cif' is many runs."),
    ] = None,
    on: Annotated[
        str,
        typer.Option(metavar="PLACE", help="A host; `local`, all cores of this machine; `serial`, this process."),
    ] = "serial",
    parameters_file: Annotated[
        Path | None,
        typer.Option("--parameters", metavar="FILE", help="A YAML or JSON file with parameters by name."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the run's id as soon as the host has taken it, and do not wait.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a function or workflow of yours here or on a host, and print its result.

    Its own code goes along. Examples:

        simmate-remote run examples/pi.py:estimate samples=1_000_000

        simmate-remote run examples/pi.py:estimate --on lab-box

    A run on a host is not lost, whatever ends in between: `simmate-remote runs` knows it. If nothing is connected to
    the host, this command connects, and ends everything there when it ends. Ctrl-C takes the run back. With --detach
    the connection stays, and so does the run.
    """
    host = None if on in HERE else load_host(on)
    if detach and host is None:
        raise typer.BadParameter("a run can be left to a host only, which --on names", param_hint="--detach")
    with only_the_document(as_json), end_is_shown(), what_was_taken_is_told():
        target = load_target(function)
        sets = parameter_sets(target, parameters or [], parameters_file)
        place = connected(host, stay=detach) if host else contextlib.nullcontext(HERE[on])
        with place as where, warnings_as_notes(CodeDiffersWarning):
            if detach and isinstance(where, RunDesk):
                handles = start_at_desk(target, sets, where)
            elif len(sets) > 1:
                outcomes = run_many(target, sets, where, host.name if host else None)
            else:
                with RunProgress(target.name, live=on != "serial") as progress:
                    try:
                        name = host.name if host else None
                        outcome = run_target(
                            target, sets[0], where, host=name, on_update=progress, tasks=progress.tasks
                        )
                    except KeyboardInterrupt as interrupted:
                        if interrupted.args:  # it is not known by its handle yet
                            raise
                        note(f"{target.name} is taken back; if it runs already, Python cannot stop it before its end")
                        raise
    if detach:
        _show_started(handles, on, as_json)
    elif len(sets) > 1:
        _show_many(outcomes, sets, on, as_json)
    else:
        show_outcome(outcome, target.name, on, as_json)


@contextlib.contextmanager
def end_is_shown() -> Iterator[None]:
    """Let the end of a run be no news that an error within the block tells of."""
    try:
        yield
    except (RunInterruptedError, RunDamagedError) as error:
        note_shown([error.run])
        raise


@contextlib.contextmanager
def what_was_taken_is_told() -> Iterator[None]:
    """Tell which runs there are if somebody interrupts a submission within the block."""
    try:
        yield
    except KeyboardInterrupt as interrupted:
        if interrupted.args:
            note(str(interrupted))
        raise


def _show_started(handles: list[RunHandle[Any]], on: str, as_json: bool) -> None:
    for handle in handles:
        emit_line({"id": handle.id, "on": on, "folder": handle.folder}, human=handle.id, as_json=as_json)
    note(f"next:      simmate-remote runs show {handles[0].id}")


def show_outcome(outcome: RunOutcome, name: str, on: str, as_json: bool) -> None:
    """Print what came of a run, and exit with 1 if it failed.

    Args:
        outcome: What came of it.
        name: What ran.
        on: Where.
        as_json: Whether ``--json`` was given.
    """
    note_shown([outcome.run])
    tried = f", at attempt {outcome.attempts} since workers died" if outcome.attempts > 1 else ""
    where = {"serial": "in this process", "local": "on this machine"}.get(on, f"on {outcome.worker} of {on}")
    if outcome.error is not None:
        if as_json:
            emit(_failure(outcome, on), as_json=True)
        else:
            err.print(safe(outcome.traceback.rstrip()), soft_wrap=True)
        note(f"{name} failed {where} after {outcome.seconds:.1f} s{tried}")
        for remedy in _remedies(outcome, on):
            note(f"  next:      {remedy.command}    ({remedy.why})")
        raise typer.Exit(1)
    nothing = outcome.result is None
    note(f"{name} finished {where} after {outcome.seconds:.1f} s{tried}" + (" and returned nothing" if nothing else ""))
    emit(_success(outcome, on), human=None if nothing else lambda: _print_result(outcome.result), as_json=as_json)


def _show_many(outcomes: list[RunOutcome], sets: list[dict[str, Any]], on: str, as_json: bool) -> None:
    note_shown(outcome.run for outcome in outcomes)
    data = [
        {"parameters": plain(each), **(_success(outcome, on) if outcome.error is None else _failure(outcome, on))}
        for each, outcome in zip(sets, outcomes, strict=True)
    ]
    results = [outcome.result for outcome in outcomes if outcome.error is None]
    emit(data, human=lambda: _print_result(results), as_json=as_json)
    if len(results) < len(outcomes):
        raise typer.Exit(1)


def _print_result(result: Any) -> None:
    text = result if isinstance(result, str) else pretty_repr(result, max_width=out.width)
    out.print(safe(text), soft_wrap=True)


def _success(outcome: RunOutcome, on: str) -> dict[str, Any]:
    return {
        "result": plain(outcome.result),
        "on": on,
        "worker": outcome.worker,
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
    }


def _failure(outcome: RunOutcome, on: str) -> dict[str, Any]:
    """Describe what the function raised as any other error, with its own class and its traceback."""
    error = SimmateRemoteError(str(outcome.error), host=on, remedies=_remedies(outcome, on), detail=outcome.traceback)
    return {**error_to_dict(error), "error": type(outcome.error).__name__}


def _remedies(outcome: RunOutcome, on: str) -> tuple[Remedy, ...]:
    """Say what mends a failure, where that is known: a module that is here, and not on the host."""
    error = outcome.error
    if not isinstance(error, ModuleNotFoundError) or not error.name or on in HERE:
        return ()
    package = error.name.partition(".")[0]
    with contextlib.suppress(ImportError, ValueError):
        if importlib.util.find_spec(package) is not None:
            why = f"makes the environment there equal to this one, which has {package}"
            return (Remedy(f"simmate-remote setup {shlex.quote(on)}", why),)
    return ()
