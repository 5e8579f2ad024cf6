"""``demo``: real work on a host inside of this program, over a real login."""

from __future__ import annotations

import importlib
import importlib.util
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import simmate_remote
from simmate_remote.cli.output import JsonOption, emit, note
from simmate_remote.errors import Remedy, WorkflowError

EXAMPLES = Path(simmate_remote.__file__).parents[1] / "examples"
WORKFLOW = EXAMPLES / "metals" / "workflow.py"


def demo(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The picture to write.")] = Path("demo/metals.png"),
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the host afterwards, to try other commands on it, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute the equation of state of seven fcc metals on a host inside this program.

    The host is an SSH server on this machine's loopback, with keys of its own; all else is as with any other host.
    """
    _check_requirements()
    from simmate_remote.inventory.host_file import read_host
    from simmate_remote.testing import EmbeddedHost

    with EmbeddedHost() as box, tempfile.TemporaryDirectory(prefix="simmate-remote-demo-") as folder:
        note(f"{box.alias} is an SSH server of this program, on port {box.port} of 127.0.0.1")
        host = read_host(box.inventory(Path(folder)))
        _compute(host, output, as_json, _keeper(box.alias, folder) if keep else None)


def _compute(host: Any, output: Path, as_json: bool, keep: Callable[[str], None] | None) -> None:
    from simmate_remote.cli.connection import connected
    from simmate_remote.cli.progress import RunProgress
    from simmate_remote.workflows.running import run_target
    from simmate_remote.workflows.target import load_target

    target = load_target(f"{WORKFLOW}:equations_of_state")
    with connected(host) as client:
        with RunProgress(target.name, live=True) as progress:
            outcome = run_target(target, {}, client, host=host.name, on_update=progress, tasks=progress.tasks)
        metals = outcome.get()
        report = importlib.import_module("metals.report")
        output.parent.mkdir(parents=True, exist_ok=True)
        report.picture(metals, output)
        data = {"metals": metals, "picture": output, "seconds": outcome.seconds}
        emit(data, human=f"{report.table(metals)}\npicture:  {output}", as_json=as_json)
        if keep is not None:
            keep(client.dashboard_link)


def _keeper(alias: str, folder: str) -> Callable[[str], None]:
    def keep(dashboard: str) -> None:
        note(
            f"\n{alias} stays until Ctrl-C. In another terminal:\n\n"
            f"  export SIMMATE_REMOTE_HOSTS={folder}\n"
            f"  simmate-remote status\n"
            f"  simmate-remote run examples/pi.py:estimate --on {alias}\n\n"
            f"Its dashboard: {dashboard}"
        )
        signal.pause()

    return keep


def _check_requirements() -> None:
    if not WORKFLOW.is_file():
        raise WorkflowError(
            "the demo's workflow, examples/metals, is not beside the package: it comes with a checkout",
            meanwhile="nothing was started",
            remedies=(Remedy("make demo", "in the folder of a checkout"),),
        )
    for name in ("ase", "matplotlib"):
        if importlib.util.find_spec(name) is None:
            raise WorkflowError(
                f"the demo needs {name}, which is not installed",
                meanwhile="nothing was started",
                remedies=(Remedy(f"{sys.executable} -m pip install 'simmate-remote[examples]'"),),
            )
