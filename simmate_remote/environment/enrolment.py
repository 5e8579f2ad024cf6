"""A key that logs in, where so far a password did: typed once, for the last time."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncssh

from simmate_remote.environment.login import Login, log_in
from simmate_remote.environment.shell import Shell
from simmate_remote.errors import LinkError
from simmate_remote.link.base import Ask, Prompt
from simmate_remote.link.hop import Hop

ENROL_TIMEOUT = 60.0

Outcome = Literal["not needed", "declined", "installed", "installed, but refused", "not possible"]


@dataclass(frozen=True)
class Enrolment:
    """What became of the offer.

    Args:
        outcome: Whether a key logs in now; ``not needed``: one did before.
        key: The key's private half, on this machine.
        made: Whether the key was made for this.
        why: Why it is not possible, or why the key is refused.
    """

    outcome: Outcome
    key: Path | None = None
    made: bool = False
    why: str = ""

    def warnings(self) -> list[str]:
        """Say what the user should hear of it."""
        match self.outcome:
            case "not needed":
                return []
            case "installed":
                made = "was made, and " if self.made else ""
                return [f"the key {self.key} {made}logs in from now on"]
            case "declined":
                return ["the login takes a password each time: setup, in a terminal or with --yes, installs a key"]
        return [f"the login takes a password each time: a key is {self.outcome}: {self.why}"]


async def enrol(login: Login, ask: Ask | None, *, agreed: bool, step: Callable[[str], object]) -> Enrolment:
    """Install a key if the login took a password, and see that it logs in.

    Args:
        login: The login.
        ask: Answers the question whether a key shall be installed; None: nobody can be asked.
        agreed: Whether the person has agreed beforehand.
        step: Told what is being done.

    Raises:
        LinkError: The link was lost.
        SetupError: The login shell there runs no scripts.
    """
    hop = login.hop
    # A password may be asked for by either method; a host that wants a key besides has one already.
    if login.accepted not in (["password"], ["keyboard-interactive"]):
        return Enrolment("not needed")
    if not hop.settings.flag("pubkeyauthentication", default=True):
        return Enrolment("not possible", why="PubkeyAuthentication is switched off in the SSH configuration")
    path = _key_path(hop)
    if not agreed:
        if ask is None:
            return Enrolment("declined", path)
        answer = await ask(
            Prompt("consent", "Install it (yes or no)? ", echo=True, detail="\n".join(_explanation(hop, path)))
        )
        if (answer or "").strip().lower() != "yes":
            return Enrolment("declined", path)
    step("installing a key")
    try:
        made, public = await asyncio.to_thread(_key, path)
    except (OSError, ValueError, asyncssh.KeyImportError) as error:
        return Enrolment("not possible", path, why=str(error))
    answer_there = await asyncio.to_thread(
        lambda: Shell(login, "~/.ssh").run("enrol", seconds=ENROL_TIMEOUT, key=public)
    )
    if answer_there.status or not (answer_there.value("added") or answer_there.value("known")):
        return Enrolment("not possible", path, made, answer_there.errors.strip() or "authorized_keys cannot be written")
    loose = bool(answer_there.value("writable"))
    try:
        async with log_in(hop.destination, None):
            return Enrolment("installed", path, made)
    except LinkError as error:
        others = "others may write to the home there, and then sshd ignores the keys in it" if loose else ""
        return Enrolment("installed, but refused", path, made, others or error.what)


def _key_path(hop: Hop) -> Path:
    """Choose the key: the first one that the configuration names, unless it leaves the choice to ssh."""
    paths = hop.settings.paths("identityfile")
    chosen = hop.settings.options.get("identityfile") != hop.settings.defaults.get("identityfile")
    if chosen and paths:
        return next((path for path in paths if path.is_file()), paths[0])
    return next((path for path in paths if path.is_file()), Path("~/.ssh/id_ed25519").expanduser())


def _explanation(hop: Hop, path: Path) -> list[str]:
    where = f"~/.ssh/authorized_keys of {hop.settings.user} at {hop.settings.host}"
    if path.is_file():
        return [f"The key {path} could log in from now on, and no password be needed: its public half goes to", where]
    return [
        "A key could log in from now on, and no password be needed. It would be made now, without a passphrase, as",
        f"{path}; its public half goes to",
        where,
    ]


def _first_line(public: Path) -> str:
    return next(iter(public.read_text().strip().splitlines()), "")


def _key(path: Path) -> tuple[bool, str]:
    """Give the public half of a key, in the form of a line; make the key if there is none."""
    public = Path(f"{path}.pub")
    if public.is_file() and (line := _first_line(public)):
        # The private half may be elsewhere: in an agent, on a token. A new key would take its place.
        if not path.exists():
            raise ValueError(f"{public} is there, and {path} is not; an agent that has it can log in")
        return False, line
    if path.exists():
        return False, asyncssh.read_private_key(path).export_public_key().decode().strip()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519", comment=f"{getpass.getuser()}@{socket.gethostname()}")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(key.export_private_key())
    line = key.export_public_key().decode().strip()
    public.write_text(line + "\n")
    return True, line
