"""Runs that were made here, once more: from what was written down of one to what can be run."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simmate_remote.errors import Remedy, WorkflowError
from simmate_remote.runs.host.spec import Spec
from simmate_remote.workflows.files import replaced
from simmate_remote.workflows.parameters import check_parameters, parse_parameters
from simmate_remote.workflows.pickling import load
from simmate_remote.workflows.target import Target, load_target


@dataclass(frozen=True)
class Again:
    """What is to run.

    Args:
        target: It, as its code is now.
        parameters: Checked, by name.
        place: Where it ran; in this process, if that was a cluster of its program's own.
        folder: The folder that its program was in.
    """

    target: Target
    parameters: dict[str, Any]
    place: Literal["serial", "local"]
    folder: Path


def once_more(spec: Spec, worker: str, words: Iterable[str]) -> Again:
    """Read what a run was that this machine's programs made, as something that can be run.

    Args:
        spec: What the run was.
        worker: Where it was executed, as its record says.
        words: Parameters that change, each ``name=value``; a file among them is looked for in the current folder.

    Raises:
        WorkflowError: Its code or its parameters cannot be had again, or a value does not serve.
    """
    payload = spec.payload
    file = payload.get("file")
    if not file:
        raise WorkflowError(
            f"{spec.workflow} was typed into a notebook or an interpreter, and nothing else finds it",
            meanwhile="nothing was run",
        )
    place = f"{file}:{payload['attribute']}"
    folder = Path(payload["cwd"] or "/")
    if not folder.is_dir():
        raise WorkflowError(
            f"the folder that {spec.workflow} ran in is gone: {folder}",
            meanwhile="nothing was run",
            remedies=(_anew(place),),
        )
    found = load_target(place)
    target = Target(found.module, found.attribute, found.function, spec.workflow)
    values = _recorded(spec, place, target.module)
    # The function looks for its files where it ran; what is typed now is meant from here.
    typed = replaced(parse_parameters(target, words, complete=False), Path, Path.absolute)
    return Again(target, check_parameters(target, values | typed), "local" if worker == "local" else "serial", folder)


def _recorded(spec: Spec, place: str, module: str) -> dict[str, Any]:
    payload = spec.payload
    why = payload.get("unrecorded")
    if why is None:
        try:
            values: dict[str, Any] = load(
                base64.b64decode(payload["parameters"]), lambda name: module if name == payload["module"] else name
            )
        except Exception as error:  # noqa: BLE001 - whatever a class of somebody's raises while it is made
            why = f"they cannot be read any more: {type(error).__name__}: {error}"
        else:
            return values
    raise WorkflowError(
        f"the parameters of this run were not kept: {why}", meanwhile="nothing was run", remedies=(_anew(place),)
    )


def _anew(place: str) -> Remedy:
    return Remedy(f"simmate-remote run {shlex.quote(place)} NAME=VALUE", "runs it with what is typed")
