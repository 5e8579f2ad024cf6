"""The command line of ``ssh``: the user's own configuration, and the little that must be otherwise."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from simmate_remote.link.hop import Hop

ORPHAN_LIFE = 2
"""Seconds that a master stays without anybody who uses it: it ends by itself when this process was killed."""

_FASTEST = "aes128-gcm@openssh.com"  # with AES in hardware 1.6 times the speed of chacha20, the usual first choice

_NOTHING_FORWARDED = {
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "VisualHostKey": "no",
}
"""What the user's own shells there may have, and a link needs not: nothing of it is opened twice."""


def master_command(way: Sequence[Hop], control: Path, *, can_ask: bool) -> list[str]:
    """Compose the command that logs in and then serves as the master of others.

    Args:
        way: The machines to log in to one after another.
        control: The socket for those others.
        can_ask: Whether a person can be asked.
    """
    options = _options(way, can_ask=can_ask) | {
        "ControlMaster": "yes",
        "ControlPath": '"{}"'.format(str(control).replace("%", "%%")),
        # With such a time, and not with "no", a master ends when nobody is connected to it any more.
        "ControlPersist": str(ORPHAN_LIFE),
        "ServerAliveInterval": str(math.ceil(way[-1].destination.keepalive_interval)),
        "ServerAliveCountMax": str(way[-1].destination.keepalive_tries),
    }
    return _command(way[-1], options, "-N", "-T")


def _options(way: Sequence[Hop], *, can_ask: bool) -> dict[str, str]:
    hop = way[-1]
    options = _NOTHING_FORWARDED | {
        # One second more than ours: it ends a program that has lost us, and messages tell of our own limit.
        "ConnectTimeout": str(math.ceil(hop.patience) + 1),
        "StrictHostKeyChecking": _strictness(hop),
    }
    if not can_ask:
        options["BatchMode"] = "yes"
    if not hop.settings.chosen("ciphers") and _FASTEST in (ciphers := hop.settings.value("ciphers").split(",")):
        options["Ciphers"] = ",".join([_FASTEST, *(cipher for cipher in ciphers if cipher != _FASTEST)])
    if not hop.is_jump and hop.destination.node is not None:
        for option in ("HostName", "Port", "HostKeyAlias"):
            options[option] = hop.settings.value(option.lower())
    if len(way) > 1:
        # In place of ProxyJump, whose logins would know nothing of these options.
        options["ProxyCommand"] = _jump(way[:-1], can_ask=can_ask)
    return options


def _strictness(hop: Hop) -> str:
    """Translate StrictHostKeyChecking: nothing makes a key acceptable that differs from a known one."""
    strict = hop.settings.value("stricthostkeychecking").lower()
    return {"true": "yes", "no": "accept-new", "off": "accept-new", "false": "accept-new"}.get(strict, strict or "ask")


def _jump(way: Sequence[Hop], *, can_ask: bool) -> str:
    """Compose the ProxyCommand that leads over jump hosts."""
    # A living master of the user's own is used, and none is left behind.
    options = _options(way, can_ask=can_ask) | {"ControlMaster": "no"}
    words = [shlex.quote(word.replace("%", "%%")) for word in _command(way[-1], options, "-T")]
    return " ".join([words[0], "-W", "'[%h]:%p'", *words[1:]])


def _command(hop: Hop, options: dict[str, str], *flags: str) -> list[str]:
    target, config = hop.settings.target, hop.destination.config
    command = ["ssh", "-v", *flags]
    command += ["-F", config] if config is not None else []
    command += ["-l", target.user] if target.user is not None else []
    command += ["-p", str(target.port)] if target.port is not None and "Port" not in options else []
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    return [*command, "--", target.name]
