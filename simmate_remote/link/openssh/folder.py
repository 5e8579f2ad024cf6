"""The folder of one login's sockets: only its user can enter it, and it is gone soon after its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = f"simmate-remote-ssh-{os.getuid()}-"
_LONGEST_PARENT = 40
"""A Unix socket's path may have 107 bytes (103 on macOS), and ssh needs 17 of them while it makes its own."""


class SocketFolder:
    """A folder for the sockets of one login; those that dead processes left are removed when it is made."""

    def __init__(self) -> None:
        # Not the runtime folder of a login at this machine, which vanishes when the person logs out.
        parent = tempfile.gettempdir()
        if len(os.fsencode(parent)) > _LONGEST_PARENT:
            parent = "/tmp"  # noqa: S108 - the folder below has a random name, and only we can enter it
        _sweep(Path(parent))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # The lock ends with this process, in whatever way; systemd-tmpfiles leaves a locked folder alone, too.
        self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _sweep(parent: Path) -> None:
    for path in parent.glob(_PREFIX + "*"):
        # Another login may be removing it, or be just about to lock the one that it has made.
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.getuid() and any(path.iterdir()):
                    shutil.rmtree(path)
            finally:
                os.close(lock)
