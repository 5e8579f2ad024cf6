"""The guardian: the keeper's parent. Whatever happens to the keeper, nothing of ours stays behind it.

It adopts every orphan below it (``PR_SET_CHILD_SUBREAPER``, prctl(2)), so that a process that detached itself is found
all the same, and has nothing to do but wait.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE = 3.0
POLL = 0.02
LONGEST_SOCKET_PATH = 107


def main() -> None:
    """Run the keeper, wait for its end, and clear up."""
    folder = Path(sys.argv[1])
    order = json.load(sys.stdin)
    adopt_orphans()
    runtime = make_runtime_folder()
    alive_there, alive = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(alive)
        from simmate_remote.keeper.program import run

        # The keeper tells by the end of this pipe that its guardian is gone.
        run(folder, runtime, order, ready=3, guardian=alive_there)
        os._exit(0)
    os.close(3)
    os.close(alive_there)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(keeper, signal.SIGTERM))
    try:
        while os.waitpid(-1, 0)[0] != keeper:
            pass
    finally:
        # There is no keeper any more to pass it on to, and the clearing up is not to be broken off.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_descendants()
        shutil.rmtree(runtime, ignore_errors=True)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def make_runtime_folder() -> Path:
    """Make the folder for our sockets: of this machine alone, ours alone, and with a short path.

    Home may be a network file system, on which sockets misbehave; XDG_RUNTIME_DIR vanishes when its user logs out.
    """
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - mkdtemp makes it 0700
        if parent and len(parent) < LONGEST_SOCKET_PATH - 50 and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="simmate-remote-", dir=parent))
    raise OSError("no folder for sockets: /tmp, /var/tmp and /dev/shm cannot be written")


def end_descendants() -> None:
    """End every process below this one: asked first, and made to after a grace of some seconds."""
    deadline = time.monotonic() + GRACE
    asked: set[int] = set()
    while found := descendants():
        late = time.monotonic() > deadline
        for pid in found:
            if late or pid not in asked:
                asked.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                except ProcessLookupError:
                    continue
        reap()
        # Not time.sleep, which waits for a point in time: where a clock is faked, that may be an hour away.
        select.select([], [], [], POLL)


def reap() -> None:
    """Take note of the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def descendants() -> list[int]:
    """Find the living processes below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold anything; what follows the last one does not.
                state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if state != "Z" or int(parent) == os.getpid():
                parents[int(entry.name)] = int(parent)
    below: set[int] = set()
    new = {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new and pid not in below}
        below |= new
    return sorted(below)


if __name__ == "__main__":
    main()
