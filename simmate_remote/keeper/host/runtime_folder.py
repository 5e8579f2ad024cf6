"""The folder of a keeper's sockets, by whose name all that belongs to the keeper is known."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LONGEST_SOCKET_PATH = 107
LONGEST_NAME = 70
"""Bytes of what stands behind the parent's path at the most: the folder's name, and that of a socket that is lent."""


def make_runtime_folder() -> Path:
    """Make the folder for our sockets: of this machine alone, ours alone, and with a short path.

    Home may be a network file system, on which sockets misbehave; XDG_RUNTIME_DIR vanishes when its user logs out.
    """
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - made 0700
        if not parent or not os.path.isabs(parent) or len(os.fsencode(parent)) + LONGEST_NAME > LONGEST_SOCKET_PATH:
            continue
        folder = Path(parent) / f"simmate-remote-{os.urandom(6).hex()}"
        with contextlib.suppress(OSError):  # it may not be written, or is full; and nothing there is ours already
            folder.mkdir(mode=0o700)
            return folder
    raise OSError("no folder for sockets: /tmp, /var/tmp and /dev/shm cannot be written")
