"""Postgres refuses to run as root: a process of root's becomes an ordinary user, in one of two ways.

In a user namespace of its own, root's files belong to that user: no account is used, and nothing is opened to others.
Where that is forbidden (in a chroot, and in many containers), it becomes the account of nobody in particular, to which
the database's files are given. They lie in a folder of root's that only root can enter, so of root's capabilities the
one to enter folders is kept, and no other.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITIES_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def step_down(data: Path) -> None:
    """Let this process, which has one thread, be an ordinary user from now on, if it is root.

    Args:
        data: The folder that has to be that user's, with all in it; it need not be there yet.

    Raises:
        OSError: This machine does not let it.
    """
    if os.geteuid() != 0:
        return
    # initdb asks for the name of its user, so it must be one that has a name.
    user, group = max((each.pw_uid, each.pw_gid) for each in pwd.getpwall())
    if sys.platform != "linux" or user == 0:
        raise OSError("there are neither user namespaces nor capabilities on this machine")
    library = ctypes.CDLL(None, use_errno=True)
    outside = os.geteuid(), os.getegid()
    if _has_user_namespaces(library):
        _give(data, *outside)
        _check(library.unshare(CLONE_NEWUSER))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {outside[0]} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {outside[1]} 1")
    else:
        _give(data, user, group)
        _become(library, user, group)


def _has_user_namespaces(library: ctypes.CDLL) -> bool:
    """Try it in another process: in a namespace nothing could be given any more."""
    if (child := os.fork()) == 0:
        os._exit(library.unshare(CLONE_NEWUSER) != 0)
    return os.waitpid(child, 0)[1] == 0


def _become(library: ctypes.CDLL, user: int, group: int) -> None:
    """Become another user that can enter every folder, and so can what it executes: see capabilities(7)."""
    _check(library.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION_3, 0)
    # Effective, permitted, inheritable; then the same for the capabilities from the 32nd on.
    sets = (ctypes.c_uint32 * 6)(*[1 << CAP_DAC_OVERRIDE] * 3, 0, 0, 0)
    _check(library.capset(header, sets))
    _check(library.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def _give(folder: Path, user: int, group: int) -> None:
    """Let a folder, and all in it, be a user's, if it is there, and is not yet."""
    if not folder.exists() or folder.stat().st_uid == user:
        return
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(here, name), user, group, follow_symlinks=False)
    # Last of all: whoever finds it given knows that all of it was.
    os.chown(folder, user, group)


def _check(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
