"""A place to call handlers in: a thread whose current folder is the task's.

A current folder belongs to a whole process, and many tasks share one. On Linux a thread can have its own
(``unshare(CLONE_FS)``, unshare(2), which needs no privilege); where that is refused, as in some containers, and on
other systems, calls take turns, and the process's folder is another while each of them lasts.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

CLONE_FS = 0x200
_turns = threading.RLock()
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Place:
    """Calls functions in a folder, one after the other; as a context manager.

    Args:
        folder: The folder.
        name: What the thread is called.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._orders: SimpleQueue[tuple[Callable[[], Any], bool, Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._orders.put(None)

    def begin(self, call: Callable[[], Any], *, alone: bool = False) -> Future[Any]:
        """Begin a call.

        Args:
            call: What to call.
            alone: Whether no such call of another task may be under way in this process.
        """
        if self._thread is None:
            # A daemon: a handler that hangs must not keep the process from its end.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future: Future[Any] = Future()
        self._orders.put((call, alone, future))
        return future

    def _work(self) -> None:
        own = _libc is not None and _libc.unshare(CLONE_FS) == 0
        if own:
            os.chdir(self._folder)
        while (order := self._orders.get()) is not None:
            call, alone, future = order
            with contextlib.ExitStack() as stack:
                if alone or not own:
                    stack.enter_context(_turns)
                if not own:
                    stack.enter_context(_inside(self._folder))
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 - whoever asked for it gets it
                    future.set_exception(error)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
