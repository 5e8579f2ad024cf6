"""The way to a host: itself, and before it the jump hosts of its ProxyJump."""

from __future__ import annotations

import shlex

from simmate_remote.errors import Remedy, SSHConfigError
from simmate_remote.link.base import Destination
from simmate_remote.link.hop import Hop
from simmate_remote.link.settings import HostSettings
from simmate_remote.link.ssh_config import Resolver
from simmate_remote.link.target import Target, parse_target

_LONGEST = 8  # hops; a jump host that is reached through itself would make the way endless


async def find_route(destination: Destination) -> list[Hop]:
    """Return the machines to log in to one after another; the last one is the host.

    Raises:
        SSHConfigError: The destination or the user's SSH configuration cannot be followed.
    """
    try:
        target = parse_target(destination.ssh)
        way = await _way_to(target, None, Resolver(destination.config, destination.connect_timeout), 1)
    except ValueError as error:
        raise SSHConfigError(
            f"the SSH configuration for {destination.ssh!r} cannot be followed: {error}",
            host=destination.host,
            meanwhile="nothing was contacted",
            remedies=_remedies(destination),
        ) from error
    except TimeoutError as error:
        raise SSHConfigError(
            f"ssh -G took longer than {destination.connect_timeout:g} s to resolve {destination.ssh!r}",
            host=destination.host,
            meanwhile="nothing was contacted; a command of Match exec in the SSH configuration is the usual cause",
            remedies=_remedies(destination),
        ) from error
    if destination.node is not None:
        way[-1] = way[-1].at(*destination.node)
    return [Hop(destination, settings, number, len(way)) for number, settings in enumerate(way, 1)]


async def _way_to(target: Target, jumps: list[Target] | None, resolver: Resolver, length: int) -> list[HostSettings]:
    """Return the way to a target; ``jumps`` replaces its own ProxyJump, as ``ssh -J`` does."""
    if length > _LONGEST:
        raise ValueError(f"ProxyJump leads in a circle, or over more than {_LONGEST} machines")
    settings = await resolver.resolve(target)
    jumps = settings.jumps if jumps is None else jumps
    if not jumps:
        return [settings]
    # As ssh does it: the last machine of the list is reached over those before it, whatever its own ProxyJump says.
    return [*await _way_to(jumps[-1], jumps[:-1] or None, resolver, length + len(jumps)), settings]


def _remedies(destination: Destination) -> tuple[Remedy, ...]:
    config = ["-F", destination.config] if destination.config is not None else []
    shown = Remedy(f"simmate-remote hosts show {shlex.quote(destination.host)}", "what we know about this host")
    if destination.ssh.startswith("-"):
        return (shown,)
    return (Remedy(shlex.join(["ssh", "-G", *config, destination.ssh]), "what ssh itself makes of it"), shown)
