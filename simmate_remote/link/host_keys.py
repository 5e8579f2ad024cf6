"""Whether the key of a machine is trusted: known_hosts says it, or else a person."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from simmate_remote.link import failures
from simmate_remote.link.base import Ask, Prompt
from simmate_remote.link.hop import Hop
from simmate_remote.link.known_hosts import KnownHosts, append_key, fingerprint

if TYPE_CHECKING:
    import asyncssh


def read_known_hosts(hop: Hop) -> KnownHosts:
    """Return what all files that the configuration names say about a machine.

    Raises:
        SSHConfigError: One of them cannot be read.
    """
    settings = hop.settings
    try:
        files = settings.path_list("userknownhostsfile") + settings.path_list("globalknownhostsfile")
        revoked = settings.paths("revokedhostkeys")
        return KnownHosts.read(hop.known_as, files, revoked[0] if revoked else None)
    except (OSError, ValueError) as error:
        raise failures.cannot_follow(hop, error) from error


async def ask_about_key(hop: Hop, key: asyncssh.SSHKey, known: KnownHosts, ask: Ask | None) -> None:
    """Return when an unknown key was accepted and is remembered.

    Raises:
        HostKeyUnknownError: It was not accepted, or nobody could be asked.
        SSHConfigError: It cannot be remembered.
    """
    shown = describe(key)
    others = [known_key for known_key in known.keys if not known_key.marker]
    strict = hop.settings.value("stricthostkeychecking").lower()
    if strict in ("yes", "true"):
        raise failures.key_unknown(hop, shown, "StrictHostKeyChecking forbids to ask")
    # A known host that comes with a key of a new kind is for a person to judge, whatever the configuration says.
    if others or strict not in ("accept-new", "no", "off", "false"):
        if ask is None or hop.settings.flag("batchmode", default=False):
            raise failures.key_unknown(hop, shown, "nobody can be asked about it")
        lines = [f"{hop.name} shows a key that is not known yet:", shown]
        lines += [
            f"Known until now is another kind of key: {one.algorithm} ({one.file} line {one.line})" for one in others
        ]
        answer = await ask(
            Prompt("host-key", "Is this the right key (yes or no)? ", echo=True, detail="\n".join(lines))
        )
        if answer is None or answer.strip().lower() != "yes":
            raise failures.key_unknown(hop, shown, "it was not accepted")
    files = hop.settings.path_list("userknownhostsfile")
    if not files:
        raise failures.key_unknown(hop, shown, "UserKnownHostsFile names no file to remember it in")
    hashed = hop.settings.flag("hashknownhosts", default=False)
    try:
        await asyncio.to_thread(append_key, files[0], hop.known_as, key.get_algorithm(), key.public_data, hashed=hashed)
    except OSError as error:
        raise failures.not_remembered(hop, str(files[0]), error) from error


def describe(key: asyncssh.SSHKey) -> str:
    """Return algorithm and fingerprint of a key."""
    return f"{key.get_algorithm()} {fingerprint(key.public_data)}"
