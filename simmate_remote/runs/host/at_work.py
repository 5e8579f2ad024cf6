"""The attempts that this process is at, and how they hear that nobody waits for them any more.

The desk calls every worker. That call may come before an attempt can hear it, or not at all; then what stands in the
run's folder tells it a moment later.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from collections.abc import Iterator
from typing import NamedTuple

from simmate_remote.runs.host.folder import RunFolder

logger = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks at the folders."""


class _Attempt(NamedTuple):
    folder: RunFolder
    round: int
    program: str


_attempts: dict[str, _Attempt] = {}
_watcher: threading.Thread | None = None
_lock = threading.Lock()


@contextlib.contextmanager
def at_work(folder: RunFolder, round_: int, program: str) -> Iterator[None]:
    """Be at work on a run for the time of a block.

    Args:
        folder: The run's.
        round_: The round that is to be ended.
        program: ``module:function`` that executes it.
    """
    global _watcher  # noqa: PLW0603 - one for the process, while there is anything to watch
    with _lock:
        _attempts[folder.id] = _Attempt(folder, round_, program)
        if _watcher is None:
            _watcher = threading.Thread(target=_watch, name="runs at work", daemon=True)
            _watcher.start()
    try:
        yield
    finally:
        with _lock:
            _attempts.pop(folder.id, None)


def cancel_here(program: str, run: str, round_: int) -> None:
    """Tell what belongs to a run in this process that nobody wants its result any more; on a worker.

    Args:
        program: What executes it.
        run: Its id.
        round_: The round that was cancelled: an attempt of the next one does not hear of it.
    """
    attempt = _attempts.get(run)
    if attempt is None or attempt.round == round_:
        _tell(program, run)


def _watch() -> None:
    global _watcher  # noqa: PLW0603
    while True:
        threading.Event().wait(LOOK)
        with _lock:
            attempts = list(_attempts.values())
            if not attempts:
                _watcher = None
                return
        for folder, round_, program in attempts:
            try:
                if folder.is_cancelled(round_) or folder.has_outcome(round_):
                    _tell(program, folder.id)
            except Exception:
                logger.exception("the run %s cannot be told that it is cancelled", folder.id)


def _tell(program: str, run: str) -> None:
    importlib.import_module(program.partition(":")[0]).cancel(run)
