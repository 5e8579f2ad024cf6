"""The folder for sockets of this machine, which only its user can enter."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from simmate_remote.errors import Remedy, SessionError

LONGEST_SOCKET_PATH = 100


def runtime_folder() -> Path:
    """Give the folder of the sessions' sockets, and make it if need be.

    Raises:
        SessionError: Somebody else made it before us.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and Path(given).is_dir() and len(given) < LONGEST_SOCKET_PATH - 50:
        folder = Path(given) / "simmate-remote"
    else:
        folder = Path(tempfile.gettempdir()) / f"simmate-remote-here-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SessionError(
            f"the folder for sockets, {folder}, is not ours alone",
            meanwhile="nothing was started",
            remedies=(Remedy(f"ls -ld {folder}", "shows whose it is; XDG_RUNTIME_DIR names another place"),),
        )
    return folder
