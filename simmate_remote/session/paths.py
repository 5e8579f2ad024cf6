"""Where sessions live on this machine: sockets and logs that only their user can open."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path

import platformdirs

from simmate_remote.errors import Remedy, SessionError
from simmate_remote.inventory.models import Host

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


def socket_path(host: Host) -> Path:
    """Give the control socket of a host's session; hosts of different inventories never share one."""
    identity = f"{host.name}\0{host.ssh}\0{host.ssh_config}\0{host.folder}"
    # A name of any length and alphabet, in a path that may have 107 bytes.
    readable = "".join(character if character.isascii() else "_" for character in host.name)[:24]
    return runtime_folder() / f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}.sock"


def errand_path(host: Host, module: str) -> Path:
    """Give the socket through which a host's session leads to a module of ours there."""
    return socket_path(host).with_suffix("." + hashlib.sha256(module.encode()).hexdigest()[:6])


def all_sockets() -> list[Path]:
    """Give the control sockets of all sessions, the dead ones' included."""
    return sorted(runtime_folder().glob("*.sock"))


def log_path(control: Path) -> Path:
    """Give the log of the session with this control socket."""
    folder = platformdirs.user_state_path("simmate-remote") / "sessions"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{control.stem}.log"


def owner_of(host: Host) -> str:
    """Give the name under which the keeper of a host knows the sessions that this user makes on this machine.

    Machines may share a name, and even a home folder: a random number tells them apart.
    """
    file = platformdirs.user_state_path("simmate-remote") / f"machine-{socket.gethostname()}"
    try:
        number = file.read_text()
    except FileNotFoundError:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = secrets.token_hex(8)
        file.write_text(number)
    return f"{socket.gethostname()}/{number}/{socket_path(host).stem}"[:200]
