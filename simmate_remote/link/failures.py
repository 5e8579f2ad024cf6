"""What can go wrong on the way to a login, told to a person: one function for each way."""

from __future__ import annotations

import os
import shlex
import socket
from typing import TypeVar

from simmate_remote.errors import (
    AnswerNeededError,
    AuthenticationError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    ForbiddenByServerError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    NameNotResolvedError,
    Remedy,
    SSHConfigError,
)
from simmate_remote.link.hop import Hop
from simmate_remote.link.known_hosts import KnownKey, fingerprint
from simmate_remote.link.text import printable

ErrorT = TypeVar("ErrorT", bound=LinkError)

CONNECTING = "connecting"
GREETING = "waiting for the server's greeting"
AGREEING = "agreeing on keys"
LOGGING_IN = "logging in"
"""Steps of a login, as in "nothing came while <step>"."""

_NOTHING_SENT = "no password and no code was sent"


def _by_hand(hop: Hop, why: str = "the same login by hand, with its reasons") -> Remedy:
    return Remedy(hop.ssh("-v"), why)


def _answered(error: ErrorT) -> ErrorT:
    """Note that an SSH server had answered by then."""
    error.reached_server = True
    return error


def not_resolved(hop: Hop, error: socket.gaierror) -> NameNotResolvedError:
    """The name has no address, or no name server answers."""
    network = error.errno == socket.EAI_AGAIN
    return NameNotResolvedError(
        f"no address was found for the name {hop.settings.host!r}"
        + (" of a jump host" if hop.is_jump else "")
        + (", and no name server answers" if network else ""),
        host=hop.destination.host,
        meanwhile="nothing was contacted",
        remedies=(
            Remedy(shlex.join(["getent", "hosts", "--", hop.settings.host]), "asks the system for the name"),
            Remedy(hop.ssh("-G"), "shows which HostName the SSH configuration gives"),
        ),
    )


def unreachable(hop: Hop, error: OSError) -> LinkError:
    """The connection could not be made."""
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefusedByHostError(
            f"{hop.name} refuses the connection: the machine answers, and no SSH server listens there",
            host=hop.destination.host,
            meanwhile=_NOTHING_SENT,
            remedies=(
                Remedy(hop.ssh("-G"), "shows which HostName and Port the SSH configuration gives"),
                _by_hand(hop),
            ),
        )
    if isinstance(error, TimeoutError):
        return timed_out(hop, CONNECTING)
    return ConnectTimeoutError(
        f"{hop.name} cannot be reached: {os.strerror(error.errno) if error.errno else error}",
        host=hop.destination.host,
        meanwhile=_NOTHING_SENT,
        remedies=(_by_hand(hop, "the same by hand; is the network, or the VPN, up?"),),
    )


def timed_out(hop: Hop, step: str) -> ConnectTimeoutError:
    """A step took longer than it may."""
    error = ConnectTimeoutError(
        f"{hop.name} did not answer within {hop.patience:g} s while {step}",
        host=hop.destination.host,
        meanwhile="the attempt was given up, and nothing of it is left",
        remedies=(_by_hand(hop, "the same by hand; is the network, or the VPN, up?"),),
    )
    # A jump host before this one had answered; what is at the end of a mere connection may be no SSH server at all.
    error.reached_server = hop.number > 1 or step not in (CONNECTING, GREETING)
    return error


def no_way_through(hop: Hop, why: str, *, forbidden: bool) -> LinkError:
    """The jump host before this hop did not open the connection."""
    if forbidden:
        return ForbiddenByServerError(
            f"the jump host before {hop.address} forbids to be jumped from: {why}",
            host=hop.destination.host,
            meanwhile="we were logged in at the jump host, and have left it",
            remedies=(_by_hand(hop, "if this fails too, ask its administrator about AllowTcpForwarding"),),
        )
    return _answered(
        ConnectionRefusedByHostError(
            f"the jump host before {hop.address} cannot connect to it: {why}",
            host=hop.destination.host,
            meanwhile="we were logged in at the jump host, and have left it",
            remedies=(_by_hand(hop, "the same by hand; is the name known at the jump host, is the machine up?"),),
        )
    )


def proxy_failed(hop: Hop, command: str, words: str) -> LinkError:
    """The ProxyCommand did not start, or ended before the server spoke."""
    # It may log in somewhere itself, so it counts as an attempt that was answered.
    return _answered(
        ConnectionRefusedByHostError(
            f"the ProxyCommand for {hop.address} brought no connection: {command}",
            host=hop.destination.host,
            meanwhile=_NOTHING_SENT,
            remedies=(_by_hand(hop, "the same by hand, with the command's own words"),),
            detail=printable(words),
        )
    )


def turned_away(hop: Hop, said: bytes, *, other_protocol: bool) -> ConnectionRefusedByHostError:
    """The server closed the connection, or said something else than SSH, before the login began."""
    words = printable(said.decode(errors="replace")).strip()
    return _answered(
        ConnectionRefusedByHostError(
            f"{hop.name} does not speak SSH"
            if other_protocol
            else f"{hop.name} closed the connection before the login began",
            host=hop.destination.host,
            meanwhile=_NOTHING_SENT,
            remedies=(
                _by_hand(hop, "in a minute: too many logins at once (MaxStartups), or a ban after failed ones, pass"),
                Remedy(hop.ssh("-G"), "shows which Port the SSH configuration gives"),
            ),
            detail=f"it said: {words[:1000]}" if words else None,
        )
    )


def broken_off(hop: Hop, why: str, step: str) -> LinkError:
    """The connection ended in the middle of the login."""
    return _answered(
        ConnectionRefusedByHostError(
            f"{hop.name} broke off the connection while {step}: {printable(why)}",
            host=hop.destination.host,
            meanwhile="the attempt was given up, and nothing of it is left",
            remedies=(_by_hand(hop),),
        )
    )


def no_common_algorithm(hop: Hop, why: str) -> SSHConfigError:
    """The server and we have no cipher, key exchange or kind of host key in common."""
    return _answered(
        SSHConfigError(
            f"no agreement with {hop.name} on how to encrypt: {printable(why)}",
            host=hop.destination.host,
            meanwhile=_NOTHING_SENT,
            remedies=(
                _by_hand(hop, "shows what both sides offer"),
                Remedy(hop.ssh("-G"), "shows Ciphers, MACs, KexAlgorithms and HostKeyAlgorithms as configured"),
            ),
        )
    )


def cannot_follow(hop: Hop, error: Exception) -> SSHConfigError:
    """The configuration for this hop makes no sense, or names a file that cannot be read."""
    return SSHConfigError(
        f"the SSH configuration for {hop.address} cannot be followed: {error}",
        host=hop.destination.host,
        meanwhile=_NOTHING_SENT,
        remedies=(Remedy(hop.ssh("-G"), "shows what the SSH configuration says"),),
    )


def key_unknown(hop: Hop, shown: str, why: str) -> HostKeyUnknownError:
    """The key is in no known_hosts file.

    Args:
        hop: The machine.
        shown: Algorithm and fingerprint of the key.
        why: Why it is not accepted.
    """
    return HostKeyUnknownError(
        f"the key of {hop.name} is not known yet, and {why}",
        host=hop.destination.host,
        meanwhile=_NOTHING_SENT,
        remedies=(
            Remedy(
                f"simmate-remote connect {shlex.quote(hop.destination.host)}",
                "in a terminal, where the fingerprint is shown and asked",
            ),
            Remedy(hop.ssh(), "asks the same, and remembers the answer for both"),
        ),
        detail=f"{shown}\nCompare it with what the administrator of the machine published.",
    )


def certificate_refused(hop: Hop, why: str) -> HostKeyUnknownError:
    """The host showed a certificate that known_hosts does not cover."""
    return HostKeyUnknownError(
        f"the certificate of {hop.name} is not accepted: {printable(why)}",
        host=hop.destination.host,
        meanwhile=_NOTHING_SENT,
        remedies=(_by_hand(hop),),
    )


def key_changed(hop: Hop, shown: str, old: KnownKey) -> HostKeyChangedError:
    """Another key of the same kind is known."""
    return HostKeyChangedError(
        f"{hop.name} shows another key than the one that is known",
        host=hop.destination.host,
        meanwhile=f"the login was refused, whatever StrictHostKeyChecking says; {_NOTHING_SENT}",
        remedies=(
            Remedy(
                shlex.join(["ssh-keygen", "-f", str(old.file), "-R", str(hop.known_as)]),
                "forgets the old key; only after the administrator has confirmed the new one",
            ),
        ),
        detail=(
            "Either the machine was installed anew, or somebody stands between and would read all that is sent.\n"
            f"known: {old.algorithm} {fingerprint(old.blob)} ({place(old)})\n"
            f"shown: {shown}"
        ),
    )


def key_revoked(hop: Hop, shown: str, where: str) -> HostKeyChangedError:
    """The key is marked as revoked."""
    return HostKeyChangedError(
        f"the key of {hop.name} is revoked: it must not be trusted any more",
        host=hop.destination.host,
        meanwhile=f"the login was refused; {_NOTHING_SENT}",
        remedies=(_by_hand(hop, "refuses too; only the administrator of the machine can mend this"),),
        detail=f"{shown} ({where})",
    )


def not_remembered(hop: Hop, file: str, error: OSError) -> SSHConfigError:
    """The line for known_hosts could not be written."""
    return _answered(
        SSHConfigError(
            f"the key of {hop.name} was accepted, and cannot be written to {file}: {error.strerror}",
            host=hop.destination.host,
            meanwhile=_NOTHING_SENT,
            remedies=(Remedy(shlex.join(["ls", "-ld", "--", file]), "shows whose file it is"),),
        )
    )


def not_authenticated(
    hop: Hop,
    *,
    tried: list[str],
    keys: list[str],
    offered: list[str],
    notes: list[str],
    words: str,
    answer_needed: bool,
) -> AuthenticationError:
    """The server accepted nothing that was tried.

    Args:
        hop: The machine.
        tried: Methods, in order.
        keys: The keys that it was shown, described.
        offered: Methods that it still offers.
        notes: What was left out, and why.
        words: What it said itself: its banner, or its reason to disconnect.
        answer_needed: Whether a person was needed, and nobody could be asked or nobody answered.
    """
    remedies = [_by_hand(hop)]
    if "publickey" in offered:
        files = [path for path in hop.settings.paths("identityfile") if path.is_file()]
        if files and (answer_needed or not keys):
            remedies.insert(0, Remedy(shlex.join(["ssh-add", str(files[0])]), "gives the agent the key"))
        remedies.insert(0, Remedy("ssh-add -l", "lists the keys that the agent holds"))
    lines = [
        f"methods tried:  {', '.join(tried) or 'none'}",
        *[f"key offered:    {key}" for key in keys],
        f"server offers:  {', '.join(offered) or 'no method that is allowed here'}",
        *[f"note:           {note}" for note in notes],
        *([f"it said:        {words}"] if words else []),
    ]
    return (AnswerNeededError if answer_needed else AuthenticationError)(
        f"{hop.name} did not let {hop.settings.user} in",
        host=hop.destination.host,
        meanwhile="the attempt was given up, and nothing of it is left",
        remedies=tuple(remedies),
        detail="\n".join(lines),
    )


def place(key: KnownKey) -> str:
    """Name the line of a known_hosts file."""
    return f"{key.file} line {key.line}"
