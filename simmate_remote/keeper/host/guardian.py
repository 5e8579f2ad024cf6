"""The guardian: the keeper's parent. Whatever happens to the keeper, nothing of ours stays behind it.

It adopts every orphan below it (``PR_SET_CHILD_SUBREAPER``, prctl(2)), so that a process that detached itself is found
all the same, and has nothing to do but wait. It is a fork of what the login runs (:mod:`.starting`), or an interpreter
of its own where another program has to stand in between. What it needs of ours for its last duty it has from the
beginning: by then somebody may have removed our folder.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from simmate_remote.keeper.host.appearance import show_name
from simmate_remote.keeper.host.ending import end_all
from simmate_remote.keeper.host.family import MARK, descendants

PR_SET_CHILD_SUBREAPER = 36
GRACE = 3.0


def main() -> None:
    """Read the order from stdin, and guard the keeper."""
    folder = Path(sys.argv[1])
    order = json.load(sys.stdin)
    # Stdout is where the login waits for one word; from here on it is the log.
    ready = os.dup(1)
    os.dup2(2, 1)
    guard(folder, order, ready)


def guard(folder: Path, order: dict[str, Any], ready: int) -> None:
    """Run the keeper, wait for its end, and clear up.

    Args:
        folder: Our folder.
        order: What the login told, for :func:`simmate_remote.keeper.host.serving.run`.
        ready: Where the login waits for one word.
    """
    adopt_orphans()
    runtime = Path(os.environ[MARK])
    alive_there, alive = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(alive)
        show_name("keeper", str(folder))
        from simmate_remote.keeper.host.serving import run

        # The keeper tells by the end of this pipe that its guardian is gone.
        run(folder, runtime, order, ready=ready, guardian=alive_there)
        os._exit(0)
    os.close(ready)
    os.close(alive_there)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(keeper, signal.SIGTERM))
    status = 0
    try:
        while (ended := os.waitpid(-1, 0))[0] != keeper:
            pass
        status = ended[1]
    finally:
        # There is no keeper any more to pass it on to, and the clearing up is not to be broken off.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        clear_up(runtime)
    if os.WIFSIGNALED(status):
        os.write(2, f"the keeper was ended by {signal.Signals(os.WTERMSIG(status)).name}\n".encode())


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def clear_up(runtime: Path) -> None:
    """End all that is left below this process, and remove the folder of the sockets."""
    end_all(partial(descendants, os.getpid()), GRACE)
    # Here and not above: a person waits until the keeper is there.
    import shutil

    shutil.rmtree(runtime, ignore_errors=True)


if __name__ == "__main__":
    main()
