"""Where faults are injected for ``doctor``: an account of the lab, and what can be done to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh

from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.proxies import config_before


class Scene(NamedTuple):
    """Where a fault is injected.

    Args:
        lab: The lab.
        box: An account of it that nothing else uses.
        folder: An empty folder here.
        undo: Takes back what was done, at the end.
    """

    lab: Lab
    box: AccountBox
    folder: Path
    undo: contextlib.ExitStack

    def root(self, command: str, undo: str = "") -> None:
        """Do something on the box as root, and take it back at the end."""
        self.lab.run("root", command)
        if undo:
            self.undo.callback(self.lab.run, "root", undo)

    def during(self, change: AbstractContextManager[Any]) -> None:
        """Leave a change in force until the end."""
        self.undo.enter_context(change)

    def config(self, **options: object) -> dict[str, Any]:
        """Give the host's field for options that win over those of the lab."""
        return {"ssh_config": config_before(self.box, self.folder, **options)}

    def program(self, name: str, script: str) -> None:
        """Put a program of the account's before all others of that name."""
        path = f"{self.box.home}/fakes/{name}"
        command = f"mkdir -p {self.box.home}/fakes; cat > {path}; chmod +x {path}"
        self.lab.run(self.box.account, command, text=f"#!/bin/sh\n{script}\n")
        self.during(self.lab.sshd(SetEnv=f"PATH={self.box.home}/fakes:/usr/local/bin:/usr/bin:/bin"))


def end_arbiter(lab: Lab) -> None:
    """End the one that a scene started; what popen gives is only what led into the box."""
    for process in lab.box.processes():
        if process.seen.argv[0] == "/tmp/arbiter":
            lab.kill(process.seen.pid)


def only_key(scene: Scene, key: Path) -> dict[str, Any]:
    """Give the host's field for an account that has this key and no other."""
    text = scene.lab.ssh_config.read_text()
    own = scene.lab.accounts[scene.box.account].key
    path = scene.folder / "only"
    path.write_text(text.replace(f"IdentityFile {own}\n", f"IdentityFile {key}\n"))
    return {"ssh_config": path}


def new_key(folder: Path) -> Path:
    """Make a key that no host knows."""
    path = folder / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    path.chmod(0o600)
    return path


def home_on_tmpfs(scene: Scene, options: str) -> None:
    """Put the home on a small file system."""
    home, uid = scene.box.home, scene.lab.accounts[scene.box.account].uid
    kept = f"/tmp/kept-{scene.box.account}"
    scene.root(
        f"cp -a {home} {kept}; mount -t tmpfs -o {options},uid={uid},gid={uid},mode=0700 tmpfs {home}; "
        f"cp -a {kept}/. {home}/; rm -r {kept}",
        undo=f"umount -l {home}",
    )


@contextlib.contextmanager
def listener(greeting: bytes) -> Iterator[int]:
    """Listen on a port here, say something to whoever comes, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        guests: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    guest, _ = server.accept()
                    guests.append(guest)
                    if greeting:
                        guest.sendall(greeting)
                        guest.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for guest in guests:
                guest.close()
