"""Postgres refuses to run as root: a process of root's becomes an ordinary user in a user namespace of its own.

In there root's files belong to that user, so the folders stay root's alone: no account is made, and nothing is opened
to others, as it would be if Postgres ran as a system user.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000


def step_down() -> None:
    """Let this process, which has one thread, be an ordinary user from now on, if it is root.

    Raises:
        OSError: This machine does not let it.
    """
    if os.geteuid() != 0:
        return
    # initdb asks for the name of its user, so it must be one that has a name.
    user = max((each.pw_uid, each.pw_gid) for each in pwd.getpwall())
    if sys.platform != "linux" or user[0] == 0:
        raise OSError("there are no user namespaces on this machine")
    outside = os.geteuid(), os.getegid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user[0]} {outside[0]} 1")
    Path("/proc/self/gid_map").write_text(f"{user[1]} {outside[1]} 1")
