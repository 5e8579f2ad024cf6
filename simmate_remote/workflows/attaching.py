"""Runs that somebody else began: waiting for one as its own program would, and running one again with other values."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed.protocol.pickle import dumps

from simmate_remote.errors import WorkflowError
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.identity import new_id
from simmate_remote.workflows.call import load_answer
from simmate_remote.workflows.desk_watch import DeskWatch, RunDesk
from simmate_remote.workflows.files import SentFile, pack_files
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.run_handle import RunHandle
from simmate_remote.workflows.run_tasks import RunTasks
from simmate_remote.workflows.signatures import unknown
from simmate_remote.workflows.specs import packed_parameters, readable, who
from simmate_remote.workflows.watching import Update

_SECONDS_BETWEEN_LOOKS = 1.0


def attach(desk: RunDesk, spec: Spec, folder: str, tasks: RunTasks, on_update: Callable[[Update], None]) -> RunOutcome:
    """Wait for a run, and show how it goes; it goes on when this is interrupted.

    Args:
        desk: The host's.
        spec: What the run is.
        folder: Its folder there.
        tasks: Gathers meanwhile what the run's own tasks tell.
        on_update: Called whenever something about it has changed.

    Raises:
        RunCancelledError: It was cancelled.
        WorkflowError: Its result cannot be understood here.
        SimmateRemoteError: The desk is gone.
    """
    watch = DeskWatch(desk, [spec.id])
    handle: RunHandle[Any] = RunHandle(spec.workflow, spec.id, folder, None, watch, spec.payload.get("digest", ""))
    handle.listen(tasks)
    shown: Update | None = None
    while True:
        ended = handle.done()
        update = handle.settle() if ended else handle.progress
        if update != shown:
            on_update(update)
            shown = update
        if ended:
            return handle.outcome()
        handle.wait_for_news(_SECONDS_BETWEEN_LOOKS)


def run_again(desk: RunDesk, spec: Spec, changes: Mapping[str, str]) -> str:
    """Begin a run once more with some parameters changed: as a new run, with a folder of its own.

    Args:
        desk: The host's; it has the code that the run ran with.
        spec: What the run was.
        changes: Values by name, as they are typed.

    Returns:
        The id of the new run.

    Raises:
        WorkflowError: A name or a value does not serve, or the run's parameters cannot be read here.
        SimmateRemoteError: The desk is gone.
    """
    payload = dict(spec.payload)
    # Its code may be on the host alone; what it takes was written down when it was sent there.
    accepted = payload.get("accepts")
    for name in changes:
        if accepted is not None and name not in accepted:
            raise unknown(spec.workflow, name, accepted)
    large, small = payload.pop("parameters_blob", None), payload.pop("parameters", "")
    packed = desk.blob(large) if large else base64.b64decode(small)
    try:
        values: dict[str, Any] = load_answer(packed, payload["digest"])
    except Exception as error:
        raise WorkflowError(
            f"its parameters cannot be read here: {type(error).__name__}: {error}", meanwhile="nothing was begun"
        ) from error
    for name, text in changes.items():
        values[name] = _like(name, text, values.get(name))
    parameters, blobs = packed_parameters(dumps(values))
    again = replace(
        spec,
        id=new_id(),
        parameters=spec.parameters | {name: _readable(values[name], changes[name]) for name in changes},
        payload=payload | parameters,
        created=time.time(),
        started_by=who(),
        restarted_from=spec.id,
    )
    desk.create([again], blobs)
    return again.id


def _readable(value: Any, text: str) -> Any:
    return text if isinstance(value, SentFile) else readable(value)


def _like(name: str, text: str, before: Any) -> Any:
    """Read a value that takes the place of another."""
    if isinstance(before, str):
        return text
    if isinstance(before, SentFile):
        return pack_files({name: Path(text).expanduser()}, {})[name]
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WorkflowError(f"{name}={text}: {error}", meanwhile="nothing was begun") from error
    if isinstance(before, float) and isinstance(value, int):
        value = float(value)
    if before is not None and type(value) is not type(before):
        wanted = type(before).__name__
        raise WorkflowError(f"{name}={text}: a {wanted} is needed, as it was before", meanwhile="nothing was begun")
    return value
