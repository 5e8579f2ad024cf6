"""End what a dead attempt has left running, by a mark in its environment; as a script, in a process of its own.

What ends processes also reaps all children that have ended, and those of an attempt's process are not ours alone.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from simmate_remote.errors import SupervisorError
from simmate_remote.keeper.host.ending import end_all
from simmate_remote.keeper.host.family import marked

GRACE = 5.0
_LIMIT = 30.0
"""Seconds for the kernel to end what has got a SIGKILL; large memory takes a while to be freed."""


def end_marked(variable: str, mark: str) -> None:
    """End all processes of this user on this machine that bear a mark.

    Args:
        variable: The variable of their environment.
        mark: Its value.

    Raises:
        SupervisorError: Something does not end.
    """
    if sys.platform != "linux" or not marked(mark, variable):
        return
    command = [sys.executable, "-I", "-S", __file__, variable, mark]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=_LIMIT)
    except subprocess.SubprocessError as error:
        raise SupervisorError(f"what a dead attempt left running does not end: {error}") from error


if __name__ == "__main__":
    end_all(partial(marked, sys.argv[2], sys.argv[1]), GRACE)
