"""One call of a target, as it travels to a worker, and what comes back."""

from __future__ import annotations

import importlib
import pickle
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps

from simmate_remote.errors import WorkflowError
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.lines import PLAIN, plain
from simmate_remote.workflows import target
from simmate_remote.workflows.current import Running, running
from simmate_remote.workflows.files import unpack_files
from simmate_remote.workflows.pickling import load
from simmate_remote.workflows.progress import Reporter, reporting
from simmate_remote.workflows.shipped import folder_of, local_name, remote_name
from simmate_remote.workflows.unsendable import find_unsendable

RESULT_LIMIT = 500_000_000
"""Bytes of a result; a choice: it is held in memory by the worker, the scheduler's messages and this process."""


@dataclass(frozen=True)
class Call:
    """What a worker has to do.

    Parameters and results travel as bytes inside of Dask's messages. So neither the scheduler nor a client that
    connects again has to unpickle what only the function's own code understands.

    Args:
        key: The task's.
        run: The run that it belongs to, and ends with: its own, or that of the workflow that started it.
        module: The target's module, by the name that it has where the call was made.
        attribute: The path from there to the function.
        parameters: A pickled dict.
        digest: The bundle of own code; empty if there is none.
        names: The top-level modules in the bundle.
        label: What a person calls it, if it is a part of a run.
        name: What it and those like it are called.
        home: The folder of the durable run that it belongs to; empty: it belongs to none.
        execution: The word of that execution of the run that it was started by; empty: it is a run by itself.
    """

    key: str
    run: str
    module: str
    attribute: str
    parameters: bytes = field(repr=False)
    digest: str = ""
    names: tuple[str, ...] = ()
    label: str = ""
    name: str = ""
    home: str = ""
    execution: str = ""


@dataclass(frozen=True)
class Answer:
    """A function's result, pickled, the name of the worker that computed it, and the end of what was printed."""

    result: bytes = field(repr=False)
    worker: str
    printed: str = field(repr=False, default="")


@dataclass(frozen=True)
class SmallAnswer(Answer):
    """One that whoever only takes note of the run may fetch, too: Dask tells everybody the type of what a task gave.

    Args:
        plain: The result as plain data, where it is that.
    """

    plain: Any = field(default=None, repr=False)


class TargetError(Exception):
    """The function raised: its text is the whole traceback, beginning with the user's own code.

    Args:
        text: The traceback.
        error: The exception, pickled; empty if it cannot be.
        worker: The name of the worker.
        folder: Where the own code lies there; empty if it is installed.
        printed: The end of what was printed.
    """

    def __init__(self, text: str, error: bytes, worker: str, folder: str, printed: str) -> None:
        super().__init__(text, error, worker, folder, printed)
        self.printed = printed
        self.text = text
        self.error = error
        self.worker = worker
        self.folder = folder

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"TargetError({self.text.strip().splitlines()[-1]!r})"


def execute(call: Call) -> Answer:
    """Run a call on a worker.

    Raises:
        TargetError: The function raised, or something else outside of Dask went wrong.
    """
    worker = get_worker()
    name = str(worker.name)
    folder = Path(worker.local_directory, f"call-{call.key}")
    home = RunFolder(Path(call.home)) if call.home else None
    with running(call.run, home, call.label, call.execution) as one:
        return _execute(call, one, name, folder)


def _execute(call: Call, one: Running, name: str, folder: Path) -> Answer:
    try:
        result = perform(call, one, folder)
        data = _result_that_travels(result)
        if len(data) <= PLAIN:
            return SmallAnswer(data, name, one.printed(), plain(result))
        return Answer(data, name, one.printed())
    except BaseException as error:  # noqa: BLE001 - a SystemExit, too, would end the worker's thread without a word
        text, folder_there = own_traceback(error), folder_of(call.digest)
        failure = TargetError(text, pickled_error(error), name, folder_there, one.printed())
    # Not while the other one is handled: Dask would send that as its context, and its class may exist there alone.
    raise failure


def perform(call: Call, one: Running, folder: Path) -> Any:
    """Call the function of a call, and give its result.

    Args:
        call: It.
        one: What it is in this process.
        folder: Where its files are put meanwhile.
    """
    try:
        with reporting(Reporter(call.run, call.key, call.label, call.name, one.execution)):
            return target.call(_function(call), unpack_files(_parameters(call), folder))
    finally:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)


def load_answer(data: bytes, digest: str) -> Any:
    """Unpickle what came back: classes of own code are those that were imported here.

    Args:
        data: A result or an exception, pickled.
        digest: The bundle's.
    """
    return load(data, lambda module: local_name(digest, module))


def _parameters(call: Call) -> dict[str, Any]:
    def rename(module: str) -> str:
        return remote_name(call.digest, call.names, module)

    values: dict[str, Any] = load(call.parameters, rename)
    return values


def _function(call: Call) -> Callable[..., Any]:
    found: Any = importlib.import_module(remote_name(call.digest, call.names, call.module))
    for part in call.attribute.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def own_traceback(error: BaseException) -> str:
    """Format an exception from the first frame that is not part of the machinery."""
    frame = error.__traceback__
    machinery = (str(Path(__file__).parent), importlib.__file__, "<frozen importlib")
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(machinery):
        frame = frame.tb_next
    # Where it failed before the user's code began, the machinery is all there is to show.
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__))


def pickled_result(result: Any) -> bytes:
    """Pickle what a function has returned.

    Raises:
        WorkflowError: It cannot be pickled; with the part of it that cannot.
    """
    try:
        data: bytes = dumps(result)
    except Exception as error:  # noqa: BLE001 - whatever a user's class raises there
        raise WorkflowError(
            "the function has finished, and what it returned cannot be sent: "
            f"{find_unsendable({'result': result}) or error}",
            detail="Return data that can be pickled, or write them to a file in current().folder.",
        ) from None
    return data


def _result_that_travels(result: Any) -> bytes:
    data = pickled_result(result)
    if len(data) > RESULT_LIMIT:
        raise WorkflowError(
            f"the result has {len(data) / 1e6:,.0f} MB, and at most {RESULT_LIMIT / 1e6:,.0f} MB travel",
            detail="Write what is large to a file on the host, and return its path and what is small.",
        )
    return data


def pickled_error(error: BaseException) -> bytes:
    """Pickle an exception; nothing if it cannot be pickled, and unpickled again."""
    try:
        data: bytes = dumps(error)
        pickle.loads(data)  # noqa: S301 - our own: some exceptions can be pickled, and not unpickled
    except Exception:  # noqa: BLE001 - whatever a user's class does, the text is enough
        return b""
    return data
