"""Folders on the host: are they there, can they be written, what file system is it, and what does that support."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simmate_remote.keeper.host.runtime_folder import make_runtime_folder

TRIAL_SIZE = 1024 * 1024
NETWORK_TYPES = (
    "nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "fhgfs", "ceph", "glusterfs", "fuse.glusterfs", "afs",
    "fuse.sshfs", "panfs", "pvfs2", "9p", "fuse.ceph", "wekafs", "orangefs",
)  # fmt: skip
SCRATCH_VARIABLES = ("SCRATCH", "WORK", "SCRATCHDIR", "LOCAL_SCRATCH")
SCRATCH_FOLDERS = ("/scratch/{user}", "/work/{user}", "/scratch")


def look(path: str) -> dict[str, Any]:
    """Look at a folder, and try in it, or in the nearest folder above it that exists, what we need of one.

    Args:
        path: The folder; ``~`` is the home.
    """
    place = os.path.join(os.path.expanduser("~"), os.path.expanduser(path))
    there = place
    while not os.path.isdir(there) and there != "/":
        there = os.path.dirname(there)
    space = os.statvfs(there)
    mount, kind, options = mount_of(os.path.realpath(there))
    return {
        "path": place,
        "exists": os.path.isdir(place),
        "tried": there,
        "mode": oct(os.stat(there).st_mode & 0o7777),
        "owned": os.stat(there).st_uid == os.getuid(),
        "free": space.f_bavail * space.f_frsize,
        "size": space.f_blocks * space.f_frsize,
        "inodes_free": space.f_favail,
        "inodes": space.f_files,
        "mount": mount,
        "type": kind,
        "network": kind in NETWORK_TYPES,
        "options": options,
        **try_folder(there),
    }


def try_folder(folder: str) -> dict[str, Any]:
    """Write a file, lock it in both ways, and listen on a socket; give the system's words where that fails."""
    found: dict[str, Any] = {"write": None, "flock": None, "lockf": None, "socket": None, "seconds": 0.0}
    try:
        trial = tempfile.mkdtemp(dir=folder, prefix=".simmate-remote-doctor-")
    except OSError as error:
        return {**found, "write": error.strerror or str(error)}
    try:
        began = time.monotonic()
        file = Path(trial, "file")
        found["write"] = _outcome(lambda: _write(file))
        found["seconds"] = time.monotonic() - began
        if found["write"] is None:
            with file.open("r+b") as opened:
                found["flock"] = _outcome(lambda: fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB))
                found["lockf"] = _outcome(lambda: fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB))
            found["socket"] = _outcome(lambda: _listen(Path(trial)))
    finally:
        # Not shutil.rmtree: what is here is known.
        for name in ("file", "s"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(trial, name))
        with contextlib.suppress(OSError):
            os.rmdir(trial)
    return found


def try_runtime_folder() -> dict[str, Any]:
    """Make the folder of a keeper's sockets as a keeper does, listen there, and remove it."""
    try:
        folder = make_runtime_folder()
    except OSError as error:
        return {"path": None, "problem": str(error)}
    try:
        mount, kind, options = mount_of(str(folder))
        socket_error = _outcome(lambda: _listen(folder))
        found = {"path": str(folder), "mount": mount, "type": kind, "options": options, "socket": socket_error}
        space = os.statvfs(folder)
        return {**found, "free": space.f_bavail * space.f_frsize, "inodes_free": space.f_favail}
    finally:
        with contextlib.suppress(FileNotFoundError):
            (folder / "s").unlink()
        folder.rmdir()


def find_scratch() -> str | None:
    """Give the folder for large files that this site offers, if there is one that we know how to find."""
    for variable in SCRATCH_VARIABLES:
        if os.environ.get(variable):
            return os.environ[variable]
    user = os.environ.get("USER", "")
    folders = (folder.format(user=user) for folder in SCRATCH_FOLDERS)
    return next((folder for folder in folders if os.path.isdir(folder) and folder.strip("/")), None)


def mount_of(path: str) -> tuple[str, str, list[str]]:
    """Give mount point, type and options of the file system that a real path is on (``/proc/self/mounts``, proc(5))."""
    best: tuple[str, str, list[str]] = ("/", "", [])
    try:
        lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:  # a client that is no Linux
        return best
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 4:
            continue
        mount = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        # A later mount at the same point hides the earlier one.
        if inside and len(mount) >= len(best[0]):
            best = (mount, fields[2], fields[3].split(","))
    return best


def _write(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(bytes(TRIAL_SIZE))
        opened.flush()
        os.fsync(opened.fileno())


def _listen(folder: Path) -> None:
    """Listen on a socket there and connect to it; by a short name, since a path may have 107 bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # This is for hosts; a client without /proc has short paths, or none that work.
        short = f"/proc/self/fd/{descriptor}/s" if os.path.isdir("/proc/self/fd") else str(folder / "s")
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
            listening.bind(short)
            listening.listen(1)
            client.settimeout(2)
            client.connect(short)
    finally:
        os.close(descriptor)


def _outcome(trial: Callable[[], object]) -> str | None:
    try:
        trial()
    except OSError as error:
        return error.strerror or str(error)
    return None
