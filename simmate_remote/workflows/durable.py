"""A workflow's run as the desk has it executed: from the run's folder, and into it. This runs on the host."""

from __future__ import annotations

import asyncio
import base64
import shutil
from typing import TYPE_CHECKING

from simmate_remote.errors import ClusterError
from simmate_remote.runs.host.execution import Ending
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.lines import PLAIN, plain
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore
from simmate_remote.workflows import current
from simmate_remote.workflows.call import Call, own_traceback, perform, pickled_error, pickled_result
from simmate_remote.workflows.shipped import folder_of
from simmate_remote.workflows.shipping import CodeOnScheduler, CodeOnWorkers

if TYPE_CHECKING:
    from distributed import Client


def execute(folder: RunFolder, spec: Spec) -> Ending:
    """Execute a run, and give what came of it; this is called on a worker."""
    call = call_of(spec, RunStore(folder.path.parent))
    inputs = folder.path / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)  # of an attempt that was killed
    with current.running(spec.id, folder) as one:
        try:
            result = perform(call, one, inputs)
            data = pickled_result(result)
            # Nothing is eight times as long pickled as its text is: numpy's numbers come next to that.
            small = plain(result) if len(data) <= 8 * PLAIN else None
            return Ending("finished", data, plain=small, printed=one.printed())
        except BaseException as error:  # noqa: BLE001 - a SystemExit, too, would end the worker's thread without a word
            pickled = base64.b64encode(pickled_error(error)).decode()
            about = {
                "type": type(error).__name__,
                "text": str(error),
                "traceback": own_traceback(error),
                "pickled": pickled,
            }
            return Ending("failed", error=about, place=folder_of(call.digest), printed=one.printed())


def cancel(run: str) -> None:
    """Tell what belongs to a run in this process that nobody wants its result any more."""
    current.cancel_here(run)


async def prepare(client: Client, store: RunStore, spec: Spec) -> None:
    """Have the own code of a run at the scheduler and at all workers, those to come included.

    Args:
        client: Of the cluster; asynchronous.
        store: Has the code.
        spec: What the run is.

    Raises:
        ClusterError: Scheduler or workers could not take it in.
        RunDamagedError: The code is gone, or was changed.
    """
    if spec.code is None:
        return
    archive = await asyncio.to_thread(store.get, spec.code)
    digest, names = spec.payload["digest"], tuple(spec.payload["names"])
    try:
        await client.register_plugin(CodeOnScheduler(digest, names, archive))
        await client.register_plugin(CodeOnWorkers(digest, names, archive))
    except Exception as error:
        raise ClusterError(
            f"the cluster could not take in the code of {', '.join(names)}: {type(error).__name__}: {error}",
            meanwhile="nothing was run",
        ) from error


def call_of(spec: Spec, store: RunStore) -> Call:
    """Give the call that a run is.

    Raises:
        RunDamagedError: Large parameters are gone, or were changed.
    """
    payload = spec.payload
    large = payload.get("parameters_blob")
    parameters = store.get(large) if large else base64.b64decode(payload["parameters"])
    return Call(
        key=spec.id,
        run=spec.id,
        module=payload["module"],
        attribute=payload["attribute"],
        parameters=parameters,
        digest=payload["digest"],
        names=tuple(payload["names"]),
        name=spec.workflow,
        home=str(store.path / spec.id),
    )
