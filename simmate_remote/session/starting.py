"""Starting a session's process, which outlives the one that starts it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from simmate_remote.environment.detached import start_detached
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.paths import log_path

_started: set[int] = set()  # numbers of the sessions that this process started, and has not seen end


def start_session(path: Path, order: SessionOrder) -> bytes:
    """Start a session process, and give its first word: it is the one, or another was quicker; empty: it died.

    Args:
        path: Its control socket.
        order: Its host.
    """
    request = {"socket": str(path), "host": dataclasses.asdict(order)}
    _bury()
    pid, word = start_detached("simmate_remote.session", request, log_path(path))
    _started.add(pid)
    return word


def _bury() -> None:
    """Take note of the end of earlier sessions; each would stay in the table of processes as long as this one lives."""
    for pid in list(_started):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:  # somebody else has
            ended = True
        if ended:
            _started.discard(pid)
