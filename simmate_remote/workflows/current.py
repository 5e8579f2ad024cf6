"""What runs in this thread: whose it is, what it prints, and whether it is to stop."""

from __future__ import annotations

import itertools
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.output import Output

KEPT = 64 * 1024
"""Characters of what a run prints that are kept for :meth:`Handle.logs`."""


class Running:
    """A call that is being executed in this process.

    Args:
        run: The run that it belongs to: a workflow's own call, or one of its tasks.
        home: That run's folder, if it has one.
        part: Which part of the run it is, as people call it; empty: the run itself.
        execution: The word of the run's execution that it belongs to; empty: it is the run itself, and has a new one.

    Attributes:
        cancelled: Set when nobody wants the result any more: long work of its own looks at it, and stops.
    """

    def __init__(self, run: str, home: RunFolder | None = None, part: str = "", execution: str = "") -> None:
        self.run = run
        self.home = home
        self.execution = execution or uuid.uuid4().hex[:16]
        self._part = part.replace(" ", "-")
        self._taken: set[Path] = set()
        self.cancelled = threading.Event()
        self._printed: list[str] = []
        self._size = 0
        self._counted: Counter[str] = Counter()
        self._output: Output | None = Output(home.output) if home is not None else None

    @property
    def folder(self) -> Path:
        """Where its own files go: a folder of the run's on the host, where it has one; otherwise the current folder.

        It is the same in each attempt, so what an earlier one has left there can be gone on with.
        """
        if self.home is None:
            return Path.cwd()
        folder = self.home.files / self._part
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def take_folder(self, name: str, fits: Callable[[Path], bool]) -> Path:
        """Give a folder for one of several things of a name: the first that fits, and that nothing else has taken."""
        candidates = (self.folder / f"{name}-{number}" for number in itertools.count(1))
        with _lock:
            found = next(each for each in candidates if each not in self._taken and fits(each))
            self._taken.add(found)
        return found

    def count(self, name: str) -> int:
        """Count one more of a name among what this call has started, and give its number."""
        with _lock:
            self._counted[name] += 1
            return self._counted[name]

    def take(self, text: str) -> None:
        """Keep what is printed; of very much, the end."""
        if self._output is not None:
            self._output.write(text)
        self._printed.append(text)
        self._size += len(text)
        if self._size > 2 * KEPT:
            self._printed = [self.printed()]
            self._size = len(self._printed[0])

    def printed(self) -> str:
        """Give the end of what was printed."""
        return "".join(self._printed)[-KEPT:]

    def close(self) -> None:
        """Take no more."""
        if self._output is not None:
            self._output.close()


_current: ContextVar[Running | None] = ContextVar("simmate_remote_running", default=None)
_all: set[Running] = set()
_lock = threading.Lock()


def current() -> Running | None:
    """Give what runs in this thread; None outside of a run on a cluster."""
    return _current.get()


@contextmanager
def running(run: str, home: RunFolder | None = None, part: str = "", execution: str = "") -> Iterator[Running]:
    """Be a call of a run for the time of a block.

    Args:
        run: The run.
        home: Its folder, if it has one.
        part: Which part of it this is; empty: the run itself.
        execution: The word of the run's execution that it belongs to; empty: it has a new one.
    """
    one = Running(run, home, part, execution)
    with _lock:
        _all.add(one)
        _listen()
    token = _current.set(one)
    try:
        yield one
    finally:
        _current.reset(token)
        with _lock:
            _all.discard(one)
        one.close()


def cancel_here(run: str) -> int:
    """Tell all calls of a run in this process that nobody wants their results, and give their number."""
    with _lock:
        found = [one for one in _all if one.run == run]
    for one in found:
        one.cancelled.set()
    return len(found)


def printed_here(run: str) -> str:
    """Give what the calls of a run have printed in this process so far."""
    with _lock:
        return "".join(one.printed() for one in _all if one.run == run)


class _Listener:
    """A stream of this process that lets the call in whose thread something is printed have a copy."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if (one := _current.get()) is not None:
            one.take(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        # The stream's own would write past this.
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _listen() -> None:
    for name in ("stdout", "stderr"):
        if not isinstance(getattr(sys, name), _Listener):
            setattr(sys, name, _Listener(getattr(sys, name)))
