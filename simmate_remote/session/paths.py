"""Where sessions live on this machine: sockets and logs that only their user can open."""

from __future__ import annotations

import hashlib
import secrets
import socket
from pathlib import Path

import platformdirs

from simmate_remote.inventory.models import Host
from simmate_remote.inventory.runtime_folder import runtime_folder


def socket_path(host: Host) -> Path:
    """Give the control socket of a host's session; hosts of different inventories never share one."""
    identity = f"{host.name}\0{host.ssh}\0{host.ssh_config}\0{host.folder}"
    # A name of any length and alphabet, in a path that may have 107 bytes.
    readable = "".join(character if character.isascii() else "_" for character in host.name)[:24]
    return runtime_folder() / f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}.sock"


def errand_path(host: Host, module: str) -> Path:
    """Give the socket through which a host's session leads to a module of ours there."""
    return socket_path(host).with_suffix("." + hashlib.sha256(module.encode()).hexdigest()[:6])


def desk_path(host: Host) -> Path:
    """Give the socket through which a host's session leads to the desk for runs there."""
    return socket_path(host).with_suffix(".desk")


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
