"""The folder for sockets of this machine, which only its user can enter."""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from pathlib import Path

from simmate_remote.errors import Remedy, SessionError

LONGEST_SOCKET_PATH = 103
"""Bytes, on macOS; on Linux they are four more."""

LONGEST_NAME = 43
"""Bytes of what stands behind the folder's path at the most, the slash included."""


def runtime_folder() -> Path:
    """Give the folder of the sessions' sockets, and make it if need be: where their paths are not too long.

    Raises:
        SessionError: Somebody else made it before us, or it cannot be made.
    """
    ours = f"simmate-remote-here-{os.getuid()}"
    folder = Path("/tmp") / ours  # noqa: S108 - it is looked at below whose it is
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    wanted = [Path(tempfile.gettempdir()) / ours]
    if os.path.isabs(given) and _is_own(given):
        wanted.insert(0, Path(given) / "simmate-remote")
    folder = next((each for each in wanted if len(os.fsencode(each)) + LONGEST_NAME <= LONGEST_SOCKET_PATH), folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise SessionError(
            f"the folder for sockets, {folder}, cannot be made: {error.strerror}",
            meanwhile="nothing was started",
            remedies=(Remedy(f"ls -ld {shlex.quote(str(folder.parent))}", "shows whose it is; TMPDIR names another"),),
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SessionError(
            f"the folder for sockets, {folder}, is not ours alone",
            meanwhile="nothing was started",
            remedies=(
                Remedy(f"ls -ld {shlex.quote(str(folder))}", "shows whose it is; XDG_RUNTIME_DIR names another place"),
            ),
        )
    return folder


def _is_own(given: str) -> bool:
    """Say whether a runtime folder is this user's: ``su`` and ``sudo -E`` leave that of somebody else."""
    try:
        found = os.stat(given)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
