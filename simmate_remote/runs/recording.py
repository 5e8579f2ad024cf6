"""Runs that this machine's own programs execute without a host: written down as those on a host are, by the program.

A program here can be interrupted by whoever has started it, and its runs are not begun again by themselves. So this is
a record, and waits for no disk: it outlives the program in any case, and a loss of power nearly always.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from simmate_remote.errors import RunError
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.journal import JournalWriter
from simmate_remote.runs.host.lines import created_line, ended_line
from simmate_remote.runs.host.outcome import RunOutcome, State
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore

logger = logging.getLogger(__name__)

_inside: ContextVar[bool] = ContextVar("simmate_remote_recorded", default=False)


def local_folder() -> Path:
    """Give the folder of the runs that this machine's programs made without a host; it need not be there."""
    # Here and not above: workers import this module too, and a host that has distributed alone does not have that one.
    import platformdirs

    return platformdirs.user_data_path("simmate-remote") / "runs"


class Recorded:
    """One run's record.

    Args:
        store: Where it is.
        folder: Its folder.
        worker: Where it is executed, as people call it.

    Attributes:
        ended: Whether its end has been written down.
    """

    def __init__(self, store: RunStore, folder: RunFolder, worker: str) -> None:
        self.folder = folder
        self._store = store
        self._worker = worker
        self._began = time.monotonic()
        self.ended = False
        self._ending = threading.Lock()

    @property
    def id(self) -> str:
        """The run's."""
        return self.folder.id

    def end(self, state: State, *, plain: Any = None, error: dict[str, str] | None = None, printed: str = "") -> None:
        """Write down how it ended, unless that was done before.

        Args:
            state: How.
            plain: The result as plain data, where it is that, and small.
            error: What went wrong, as an outcome has it.
            printed: What it printed, as far as that is known.
        """
        seconds = time.monotonic() - self._began
        outcome = RunOutcome(
            self.id,
            state,
            attempt=1,
            ended=time.time(),
            seconds=seconds,
            worker=self._worker,
            node=socket.gethostname(),
            plain=plain,
            error=error,
        )
        # Several threads may know of the end; the first writes it down, and the others wait until it is written.
        with self._ending:
            if not self.ended:
                self._write_end(outcome, printed)
                self.ended = True

    def _write_end(self, outcome: RunOutcome, printed: str) -> None:
        with _untroubled():
            if printed:
                self.folder.output.write_text(printed, errors="replace")
            if self.folder.write_outcome(outcome, 0, sync=False):
                _tell(self._store, [(self.id, outcome.state, ended_line(outcome))])


def record(specs: Iterable[Spec], worker: str) -> list[Recorded | None]:
    """Write down that runs begin in this process, or where it waits for them.

    Args:
        specs: What they are.
        worker: Where they are executed, as people call it.

    Returns:
        Their records; None instead where nothing can be written: no run fails for that.
    """
    written = list(specs)
    try:
        store = RunStore(local_folder())
        about = {"attempt": 1, "worker": worker, "node": socket.gethostname(), "pid": os.getpid()}
        events: list[tuple[str, str, dict[str, Any]]] = []
        folders = store.create(written, sync=False)
        for folder, spec in zip(folders, written, strict=True):
            folder.note_attempt(1, {**about, "process": _process(store), "began": time.time()})
            events += [(spec.id, "created", created_line(folder, spec)), (spec.id, "started", about)]
        _tell(store, events)
    except (OSError, RunError) as error:
        logger.warning("a run is not recorded: %s", error)
        return [None] * len(written)
    return [Recorded(store, folder, worker) for folder in folders]


@contextlib.contextmanager
def recording() -> Iterator[bool]:
    """Say whether a run that begins here is one of its own, and not a part of one, for the time of a block."""
    own = not _inside.get()
    token = _inside.set(True)
    try:
        yield own
    finally:
        _inside.reset(token)


def note_interrupted(runs: Iterable[str]) -> bool:
    """Write down how runs ended that nobody told the end of, and which were interrupted; give whether there are any.

    Args:
        runs: The ids of those that are not known to have ended.
    """
    store = RunStore(local_folder())
    events: list[tuple[str, str, dict[str, Any]]] = []
    for run in runs:
        folder = store.run(run)
        attempt = folder.attempt(1)
        if "process" not in attempt or _lives(store, attempt["process"]):
            continue
        # The process was killed, or the disk full, after the outcome was written and before it was told.
        outcome = _outcome(folder)
        if outcome is not None:
            events.append((run, outcome.state, {"time": outcome.ended, **ended_line(outcome)}))
        else:
            events.append((run, "interrupted", {"attempt": 1, "reason": "its process had ended by then"}))
    with _untroubled():
        _tell(store, events)
    return bool(events)


def remove_recorded(run: str) -> None:
    """Remove the folder of a run that has ended, and tell that it is gone."""
    store = RunStore(local_folder())
    store.remove(run)
    _tell(store, [(run, "removed", {})])


def _outcome(folder: RunFolder) -> RunOutcome | None:
    try:
        return folder.outcome(0)
    except (OSError, RunError) as error:
        logger.warning("the run %s counts as interrupted: %s", folder.id, error)
        return None


def _tell(store: RunStore, events: list[tuple[str, str, dict[str, Any]]]) -> None:
    if not events:
        return
    lines = [{"time": time.time(), "run": run, "event": event, **about} for run, event, about in events]
    fd = os.open(store.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # for as long as it takes others to add some lines
        writer = JournalWriter(store.path / "journal")
        try:
            writer.append(lines, sync=False)
        finally:
            writer.close()
    finally:
        os.close(fd)


@contextlib.contextmanager
def _untroubled() -> Iterator[None]:
    """Let a run go on that cannot be written down."""
    try:
        yield
    except (OSError, RunError) as error:
        logger.warning("a run is not recorded: %s", error)


_locks: dict[tuple[int, Path], str] = {}


def _process(store: RunStore) -> str:
    """Give the name of a file that this process keeps locked for as long as it lives."""
    key = (os.getpid(), store.path)
    if key not in _locks:
        folder = store.path / "processes"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        fd = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        _locks[key] = name
    return _locks[key]


def _lives(store: RunStore, process: str) -> bool:
    path = store.path / "processes" / Path(process).name
    if (os.getpid(), store.path) in _locks and _locks[os.getpid(), store.path] == path.name:
        return True
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
