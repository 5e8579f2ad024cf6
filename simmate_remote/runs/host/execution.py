"""One attempt of a run, on a worker: alone in the run's folder, and told only after its outcome is on the disk."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from distributed import get_worker

from simmate_remote.errors import FolderBusyError, RunError, RunNotFoundError
from simmate_remote.keeper.host.record import boot_id
from simmate_remote.runs.host.at_work import at_work
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.lock import FolderLock, end_left
from simmate_remote.runs.host.outcome import RunOutcome, State, bounded, packed
from simmate_remote.runs.host.spec import Spec

logger = logging.getLogger(__name__)

TOPIC = "simmate-remote-attempts"
"""The scheduler's events that attempts begin by."""

REPORTS = "simmate-remote-runs"
"""The scheduler's events that runs, and what belongs to them, report by."""

MARK = "SIMMATE_REMOTE_WORKER"
"""The variable with the mark of the worker's process; all that functions start there has it."""

GIVEN_UP = "RunInterruptedError"
"""What a run that was interrupted too often has failed with."""

LOOK = 0.5
"""Seconds between two looks while another attempt is at work in the folder."""

FULL = {errno.ENOSPC, errno.EDQUOT}
PATIENCE_WITH_DISK = 24 * 3600.0
"""Seconds that a run waits for space on a full disk, before its work is called in vain: a person has to make some."""


@dataclass(frozen=True)
class Ending:
    """What a program gives back.

    Args:
        state: How it ended.
        result: The pickled result, if it has finished.
        plain: The same as plain data, where it is that, and small.
        error: What went wrong, as :class:`.outcome.RunOutcome` has it.
        place: Where its own code lay.
        printed: The end of what it printed.
    """

    state: State
    result: bytes = field(default=b"", repr=False)
    plain: Any = None
    error: dict[str, str] | None = None
    place: str = ""
    printed: str = ""


def execute_run(path: str, round_: int) -> str:
    """Execute a run, unless it has ended; on a worker.

    Args:
        path: The run's folder.
        round_: The round that is to be ended.

    Returns:
        How it has ended.

    Raises:
        RunNotFoundError: The folder is gone.
        RunDamagedError: Something in it cannot be read.
        OSError: The disk is full.
    """
    folder = RunFolder(Path(path))
    spec = folder.spec()
    with _alone(folder, round_) as alone:
        if not alone or _ended(folder, round_):
            return _ended(folder, round_) or "cancelled"
        worker = get_worker()
        attempt = folder.attempts() + 1
        if attempt - folder.attempts_before(round_) > spec.attempts:
            outcome = RunOutcome(spec.id, "failed", attempt - 1, time.time(), error=given_up(folder, spec, attempt - 1))
            folder.write_outcome(outcome, round_)
            return outcome.state
        about = {
            "run": spec.id,
            "attempt": attempt,
            "worker": str(worker.name),
            "node": socket.gethostname(),
            "pid": os.getpid(),
            "boot": boot_id(),
            "began": time.time(),
        }
        if not _with_space(folder, round_, partial(_noted, folder, attempt, about)):
            return _ended(folder, round_) or "cancelled"
        # Dask puts the worker's address into what a worker tells, as ``worker``.
        worker.log_event(TOPIC, {**about, "name": about["worker"]})
        with at_work(folder, round_, spec.program):
            outcome, result = perform(folder, spec, attempt, round_, str(worker.name))
        written = _with_space(folder, round_, partial(_written, folder, outcome, round_, result))
        return outcome.state if written else _ended(folder, round_) or "cancelled"


def perform(folder: RunFolder, spec: Spec, attempt: int, round_: int, worker: str) -> tuple[RunOutcome, bytes | None]:
    """Call a run's program, and give how it ended, and its result if that is too large to be a part of it."""
    began, computed = time.monotonic(), time.thread_time()
    module, _, function = spec.program.partition(":")
    try:
        ending: Ending = getattr(importlib.import_module(module), function)(folder, spec)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the run has an outcome
        text = f"the program of the run could not be executed: {type(error).__name__}: {error}"
        ending = Ending("failed", error={"type": type(error).__name__, "text": text, "traceback": "", "pickled": ""})
    about = packed(ending.result, folder.result_name(round_)) if ending.state == "finished" else {}
    outcome = RunOutcome(
        spec.id,
        ending.state,
        attempt=attempt,
        ended=time.time(),
        seconds=time.monotonic() - began,
        cpu_seconds=time.thread_time() - computed,
        worker=worker,
        node=socket.gethostname(),
        plain=ending.plain,
        error=ending.error and bounded(ending.error),
        place=ending.place,
        printed=ending.printed,
        **about,
    )
    return outcome, ending.result if outcome.file else None


def given_up(folder: RunFolder, spec: Spec, attempts: int) -> dict[str, str]:
    """Say that a run was interrupted as often as it may be."""
    last = folder.attempt(attempts)
    where = f", the last on {last['worker']}" if "worker" in last else ""
    text = (
        f"each of the {spec.attempts} attempts was ended from outside{where}: it may need more memory than there is, "
        "or crash the interpreter"
    )
    return {"type": GIVEN_UP, "text": text, "traceback": "", "pickled": ""}


@contextlib.contextmanager
def _alone(folder: RunFolder, round_: int) -> Iterator[bool]:
    """Be the only attempt in the folder; false if the run has ended meanwhile."""
    disk = _FullDisk(folder)
    while True:
        try:
            end_left(folder.lock, MARK)
            lock = FolderLock(folder.lock, folder.path, MARK, _mark())
            break
        except FolderBusyError:
            # Dask has thought that attempt's worker dead, and it lives: it will have an outcome, or die.
            if _ended(folder, round_):
                yield False
                return
        except FileNotFoundError as error:
            raise RunNotFoundError(f"the folder of the run {folder.id} is gone: {folder.path}") from error
        except OSError as error:
            if _shall_end(folder, round_):
                yield False
                return
            disk.bear(error)
        threading.Event().wait(LOOK)
    touched = threading.Event()
    keeper = None
    if not lock.by_kernel:
        keeper = threading.Thread(target=_touch, args=(lock, touched), daemon=True)
        keeper.start()
    try:
        with lock:
            yield True
    finally:
        touched.set()


def _touch(lock: FolderLock, done: threading.Event) -> None:
    while not done.wait(LOOK):
        with contextlib.suppress(OSError):  # a network file system that hiccups; it is touched again in a moment
            lock.touch()


def _ended(folder: RunFolder, round_: int) -> State | None:
    """Say how the run has ended, or shall end by what is written down."""
    outcome = folder.outcome(round_)
    if outcome is None and folder.is_cancelled(round_):
        outcome = RunOutcome(folder.id, "cancelled", folder.attempts(), time.time())
        with contextlib.suppress(OSError):  # that it is cancelled stands there in any case
            folder.write_outcome(outcome, round_)
            outcome = folder.outcome(round_)
    return outcome.state if outcome else None


def _shall_end(folder: RunFolder, round_: int) -> bool:
    """Say whether nobody waits for this attempt any more."""
    return folder.has_outcome(round_) or folder.is_cancelled(round_)


def _noted(folder: RunFolder, attempt: int, about: dict[str, Any]) -> bool:
    folder.note_attempt(attempt, about)
    return True


def _written(folder: RunFolder, outcome: RunOutcome, round_: int, result: bytes | None) -> bool:
    """Write the outcome, and give whether it is the run's."""
    try:
        return folder.write_outcome(outcome, round_, result)
    except FileNotFoundError as error:
        raise RunNotFoundError(f"the folder of the run {folder.id} was removed while it ran: {folder.path}") from error
    except OSError as error:
        if error.errno in FULL:
            raise
        raise RunError(f"the outcome of the run {folder.id} cannot be written: {error}") from error


def _with_space(folder: RunFolder, round_: int, write: Callable[[], bool]) -> bool:
    """Write something as soon as the disk has space for it; false if the run has ended meanwhile."""
    disk = _FullDisk(folder)
    while True:
        try:
            return write()
        except OSError as error:
            if _shall_end(folder, round_):
                return False
            disk.bear(error)
        threading.Event().wait(LOOK)


class _FullDisk:
    """Has patience with a full disk, and lets whoever watches the run know.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._deadline: float | None = None

    def bear(self, error: OSError) -> None:
        """Put up with an error, unless it is another one, or it has been too long."""
        if error.errno not in FULL:
            raise error
        if self._deadline is None:
            self._deadline = time.monotonic() + PATIENCE_WITH_DISK
            text = f"waits for space on the disk of {socket.gethostname()}, in {self._folder.path}"
            logger.warning("the run %s %s", self._folder.id, text)
            get_worker().log_event(REPORTS, {"run": self._folder.id, "key": self._folder.id, "text": text})
        if time.monotonic() > self._deadline:
            raise error


def _mark() -> str:
    """Give the mark of this process, which what it starts inherits."""
    if (known := _marks.get(os.getpid())) is None:
        # One that was forked from another worker has that one's variables.
        known = _marks[os.getpid()] = os.environ[MARK] = secrets.token_hex(12)
    return known


_marks: dict[int, str] = {}
