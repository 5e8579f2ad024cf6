"""The folder of a keeper's sockets, by whose name all that belongs to the keeper is known."""

from __future__ import annotations

import os
from pathlib import Path

LONGEST_SOCKET_PATH = 107


def make_runtime_folder() -> Path:
    """Make the folder for our sockets: of this machine alone, ours alone, and with a short path.

    Home may be a network file system, on which sockets misbehave; XDG_RUNTIME_DIR vanishes when its user logs out.
    """
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - made 0700
        if parent and len(parent) < LONGEST_SOCKET_PATH - 50 and os.access(parent, os.W_OK):
            folder = Path(parent) / f"simmate-remote-{os.urandom(6).hex()}"
            # What is there already is somebody else's, and an error.
            folder.mkdir(mode=0o700)
            return folder
    raise OSError("no folder for sockets: /tmp, /var/tmp and /dev/shm cannot be written")
