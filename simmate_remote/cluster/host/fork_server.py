"""The one fork server of a host: begun at once, by a fork of its own, and shared by all that would start another.

It is multiprocessing's own; what differs is how it comes to be. Usually it is a second interpreter, and the tracker of
shared resources that belongs to it a third: just when all wait for distributed to be imported, each takes a core for
40 ms. A fork of the nursery begins with what they would have to import.

Both ways rely on names inside multiprocessing. Where a later Python has other ones, interpreters are started as usual.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, process, resource_tracker, util
from typing import Any

from simmate_remote.keeper.host.appearance import show_name
from simmate_remote.keeper.host.spawning import close_all_but


def start(preload: str, folder: str) -> None:
    """Let this process have a fork server that begins to import a module; before any thread is started here.

    Args:
        preload: The module's name.
        folder: For its socket, whose path has to be short, as that of the machine's temporary files may not be.
    """
    getattr(process.current_process(), "_config", {})["tempdir"] = folder
    # Python 3.11.0 would put its socket where every user reaches it (CVE-2022-42919).
    util.abstract_sockets_supported = False  # type: ignore[misc]
    forkserver.set_forkserver_preload([preload])
    usual = getattr(util, "spawnv_passfds", None)
    util.spawnv_passfds = _fork_with_fds
    try:
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = usual  # type: ignore[assignment]


def has_ended() -> bool:
    """Say whether the fork server that this process has started is gone: nothing can be started any more."""
    server = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    try:
        return server is not None and os.waitpid(server, os.WNOHANG)[0] != 0
    except ChildProcessError:  # multiprocessing has looked, too, and would start another
        return True


def share() -> None:
    """Let this process fork from the server that it was forked from, instead of starting one more.

    ``multiprocessing.forkserver.ensure_running`` promises as much in its docstring, and starts a second server, with a
    second import of everything, since it looks for a process id that only the first parent knows. All else that it
    needs is there.
    """
    server = getattr(forkserver, "_forkserver", None)
    if getattr(server, "_forkserver_address", None) and getattr(server, "_forkserver_alive_fd", None) is not None:
        server.ensure_running = lambda: None  # type: ignore[union-attr]


def _fork_with_fds(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:  # noqa: ARG001
    """Stand in for ``multiprocessing.util.spawnv_passfds``, which starts an interpreter: fork, and run its command.

    Args:
        path: The interpreter.
        args: Its command line; the last word is what it would execute.
        passfds: What it has besides stdin, stdout and stderr.
    """
    if pid := os.fork():
        return pid
    status = 1
    try:
        close_all_but(passfds)
        show_name("fork server" if "forkserver" in args[-1] else "resource tracker")
        # The fork came in the midst of a start, whose locks nobody here will ever release.
        importlib.reload(resource_tracker)
        importlib.reload(forkserver)
        with contextlib.suppress(SystemExit):
            exec(args[-1], {"__name__": "__main__"})  # noqa: S102 - as the interpreter would
        status = 0
    except Exception:  # noqa: BLE001 - as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
