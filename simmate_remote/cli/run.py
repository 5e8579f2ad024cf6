"""``run``: a function, its parameters, and the place where it runs."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer
from rich.pretty import pretty_repr

from simmate_remote.cli.connection import connected
from simmate_remote.cli.output import JsonOption, emit, err, note, out, plain, safe
from simmate_remote.cli.progress import RunProgress
from simmate_remote.errors import SimmateRemoteError, error_to_dict
from simmate_remote.inventory import load_host
from simmate_remote.workflows.parameters import parse_parameters
from simmate_remote.workflows.places import Place
from simmate_remote.workflows.running import Outcome, run_target
from simmate_remote.workflows.target import load_target

HERE: dict[str, Place] = {"serial": "serial", "local": "local"}
"""Places that are no host; a host of such a name would need another one."""


def run(
    function: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="What to run; or package.module:FUNCTION.")
    ],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="The function's parameters.")
    ] = None,
    on: Annotated[
        str,
        typer.Option(metavar="PLACE", help="A host; `local`, all cores of this machine; `serial`, this process."),
    ] = "serial",
    as_json: JsonOption = False,
) -> None:
    """Run a function of yours here or on a host, and print its result.

    Its own code goes along. Examples:

        simmate-remote run examples/pi.py:estimate samples=1_000_000

        simmate-remote run examples/pi.py:estimate --on lab-box

    If nothing is connected to the host, this command connects, and ends everything there when it ends. Ctrl-C takes
    the task back.
    """
    host = None if on in HERE else load_host(on)
    # With --json, stdout is for the one document, whatever the function and its module print.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        target = load_target(function)
        values = parse_parameters(target, parameters or [])
        place = connected(host) if host else contextlib.nullcontext(HERE[on])
        with place as where, RunProgress(target.name, live=on != "serial") as progress:
            try:
                outcome = run_target(target, values, where, host=host.name if host else None, on_update=progress)
            except KeyboardInterrupt:
                note(f"{target.name} is taken back; if it runs already, Python cannot stop it before its end")
                raise
    _show(outcome, target.name, on, as_json)


def _show(outcome: Outcome, name: str, on: str, as_json: bool) -> None:
    tried = f", at attempt {outcome.attempts} since workers died" if outcome.attempts > 1 else ""
    where = {"serial": "in this process", "local": "on this machine"}.get(on, f"on {outcome.worker} of {on}")
    if outcome.error is not None:
        if as_json:
            emit(_failure(outcome, on), as_json=True)
        else:
            err.print(safe(outcome.traceback.rstrip()), soft_wrap=True)
        note(f"{name} failed {where} after {outcome.seconds:.1f} s{tried}")
        raise typer.Exit(1)
    data = {
        "result": plain(outcome.result),
        "on": on,
        "worker": outcome.worker,
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
    }
    nothing = outcome.result is None
    note(f"{name} finished {where} after {outcome.seconds:.1f} s{tried}" + (" and returned nothing" if nothing else ""))
    emit(data, human=None if nothing else lambda: _print_result(outcome.result), as_json=as_json)


def _print_result(result: Any) -> None:
    text = result if isinstance(result, str) else pretty_repr(result, max_width=out.width)
    out.print(safe(text), soft_wrap=True)


def _failure(outcome: Outcome, on: str) -> dict[str, Any]:
    """Describe what the function raised as any other error, with its own class and its traceback."""
    error = SimmateRemoteError(str(outcome.error), host=on, detail=outcome.traceback)
    return {**error_to_dict(error), "error": type(outcome.error).__name__}
