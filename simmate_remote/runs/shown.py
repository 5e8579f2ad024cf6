"""Which runs' ends a command of this machine has shown as they came: afterwards they are no news any more.

Their rows may be written only later. So their ids are kept in a file, until what is told of their journal is beyond
their ends.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import IO

import platformdirs

KEPT = 20_000
"""Ids that are kept at the most; the oldest would be news once more."""


def note_shown(runs: Iterable[str]) -> None:
    """Take note that the ends of runs have been shown.

    Args:
        runs: Their ids; empty ones are left out.
    """
    if new := [run for run in runs if run]:
        _change(lambda known: [*known, *new][-KEPT:])


def forget_shown(runs: Collection[str]) -> None:
    """Forget it: that they have ended is told, or they begin again."""
    if runs:
        gone = set(runs)
        _change(lambda known: [run for run in known if run not in gone])


def shown() -> list[str]:
    """Give the ids of those whose ends have been shown."""
    try:
        with _opened() as file:
            return file.read().splitlines()
    except OSError:
        return []


def _change(change: Callable[[list[str]], list[str]]) -> None:
    # Where there is no space for it, they are told twice.
    with contextlib.suppress(OSError), _opened() as file:
        text = "".join(f"{run}\n" for run in change(file.read().splitlines()))
        file.seek(0)
        file.truncate()
        file.write(text)


@contextlib.contextmanager
def _opened() -> Iterator[IO[str]]:
    folder = platformdirs.user_state_path("simmate-remote")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "shown-runs").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file
