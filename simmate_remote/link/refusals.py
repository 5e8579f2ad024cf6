"""What can go wrong with a link that stands, told to a person: what the server forbids, and the end."""

from __future__ import annotations

import shlex

from simmate_remote.errors import ForbiddenByServerError, LinkLostError, Remedy
from simmate_remote.link.hop import Hop

_LINK_STANDS = "the link stands, and what runs over it goes on"


def command_forbidden(hop: Hop, why: str) -> ForbiddenByServerError:
    """The server runs no command, or no further one."""
    return ForbiddenByServerError(
        f"{hop.name} lets {hop.settings.user} in, and allows no (further) command: {why}",
        host=hop.destination.host,
        meanwhile=_LINK_STANDS,
        remedies=(
            Remedy(hop.ssh() + " true", "if this fails too, ask the administrator about MaxSessions and the account"),
        ),
    )


def socket_forbidden(hop: Hop, path: str, why: str) -> ForbiddenByServerError:
    """The server opened no channel to a socket."""
    # OpenSSH gives the same answer to both, so the message cannot tell which it was, and the remedy can.
    return ForbiddenByServerError(
        f"{hop.name} opened no channel to the socket {path}: {why}",
        host=hop.destination.host,
        meanwhile=_LINK_STANDS,
        remedies=(
            Remedy(
                f"{hop.ssh()} {shlex.quote(f'ls -l {shlex.quote(path)}')}",
                "if the socket is there, the server forbids to forward to it: AllowStreamLocalForwarding",
            ),
        ),
    )


def lost(hop: Hop, why: str) -> LinkLostError:
    """The connection to a machine on the way has ended."""
    host = shlex.quote(hop.destination.host)
    return LinkLostError(
        f"the link was lost: the connection to {hop.name} ended: {why}",
        host=hop.destination.host,
        meanwhile="nothing was ended on the host",
        remedies=(
            Remedy(f"simmate-remote connect {host}", "logs in again"),
            Remedy(f"simmate-remote status {host}", "shows what is known of it now"),
        ),
    )
