"""Programs that are run on this machine while a host is made ready: pip, uv. They end when nobody waits any more."""

from __future__ import annotations

import contextvars
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class BrokenOffError(Exception):
    """Nobody waits for what was being made: no reason to try another way."""


class Done(NamedTuple):
    """What became of a program.

    Args:
        status: Its exit status.
        said: What it wrote, stdout and stderr in one.
    """

    status: int
    said: str


class Programs:
    """The programs of one host's setup, which run in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._over = False

    def run(self, words: Sequence[str], seconds: float) -> Done:
        """Run a program without input, and wait for its end.

        Args:
            words: Its command line.
            seconds: How long it may take.

        Raises:
            BrokenOffError: It was ended, or not begun, since nobody waits for it.
            TimeoutError: It took longer, and was killed.
        """
        # A file and no pipe: what the program has started may hold a pipe open for longer than the program lives.
        with tempfile.TemporaryFile() as said:
            with self._lock:
                if self._over:
                    raise BrokenOffError
                process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
                self._running.add(process)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(f"it had not ended after {seconds:.0f} s") from error
            finally:
                process.kill()
                process.wait()
                with self._lock:
                    self._running.discard(process)
            if self._over:
                raise BrokenOffError
            said.seek(0)
            return Done(status, said.read().decode(errors="replace"))

    def break_off(self) -> None:
        """End those that run, and let none begin."""
        with self._lock:
            self._over = True
            for process in self._running:
                process.terminate()

    def serve(self, work: Callable[[], T]) -> T:
        """Do some work in a thread, whose programs these are."""
        _current.set(self)
        return work()


_current: contextvars.ContextVar[Programs] = contextvars.ContextVar("programs")


def run(words: Sequence[str], seconds: float) -> Done:
    """Run one of the programs of the work that is being done; see :meth:`Programs.run`."""
    return _current.get(Programs()).run(words, seconds)
