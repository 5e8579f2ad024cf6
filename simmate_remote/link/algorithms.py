"""Which algorithms a login offers, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_default_kex_algs, get_kex_algs
from asyncssh.mac import get_default_mac_algs, get_mac_algs
from asyncssh.public_key import (
    get_certificate_algs,
    get_default_certificate_algs,
    get_default_public_key_algs,
    get_public_key_algs,
)

from simmate_remote.link.known_hosts import KnownHosts
from simmate_remote.link.settings import HostSettings

_FASTEST = "aes128-gcm@openssh.com"  # with AES in hardware 1.6 times the speed of chacha20, the usual first choice

_SIGNED_BY = {"ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"]}
"""Kind of key → algorithms that prove it; a key of any other kind has one of its own name."""


def offered(settings: HostSettings, known: KnownHosts) -> dict[str, Any]:
    """Return the algorithms as arguments for ``asyncssh.connect``.

    Raises:
        ValueError: The configuration allows only what asyncssh does not have.
    """
    ciphers = _choose(settings, "ciphers", get_encryption_algs(), get_default_encryption_algs())
    if not settings.chosen("ciphers"):
        ciphers = [_FASTEST, *(name for name in ciphers if name != _FASTEST)]
    arguments: dict[str, Any] = {
        "encryption_algs": ciphers,
        "kex_algs": _choose(settings, "kexalgorithms", get_kex_algs(), get_default_kex_algs()),
        "mac_algs": _choose(settings, "macs", get_mac_algs(), get_default_mac_algs()),
        "server_host_key_algs": host_key_algorithms(settings, known),
        "compression_algs": None,
    }
    if settings.flag("compression", default=False):
        arguments["compression_algs"] = ["zlib@openssh.com", "none"]
    return arguments


def host_key_algorithms(settings: HostSettings, known: KnownHosts) -> list[str]:
    """Return the kinds of host keys to ask for: those first that known_hosts has, as OpenSSH does.

    A server has keys of several kinds; without this order a known ed25519 key could be met with an unknown ecdsa one.
    """
    certificates = _names(get_certificate_algs())
    possible = certificates + _names(get_public_key_algs())
    default = _names(get_default_certificate_algs() + get_default_public_key_algs())
    names = _choose(settings, "hostkeyalgorithms", possible, default)
    if not known.authorities:
        # A certificate that nobody vouches for could not be accepted; the plain key below it can.
        names = [name for name in names if name not in certificates]
    if settings.chosen("hostkeyalgorithms"):
        return names
    first = [name for kind in known.algorithms for name in _SIGNED_BY.get(kind, [kind])]
    first = [name for name in names if name in certificates] + [name for name in first if name in names]
    return list(dict.fromkeys(first + names))


def _choose(
    settings: HostSettings, option: str, possible: Sequence[bytes | str], default: Sequence[bytes | str]
) -> list[str]:
    chosen = settings.chosen(option)
    if not chosen:
        return _names(default)
    names = select(chosen, _names(possible), _names(default))
    if not names:
        raise ValueError(f"none of the {option} that are configured is available: {chosen}")
    return names


def select(text: str, possible: Sequence[str], default: Sequence[str]) -> list[str]:
    """Apply an option like ``Ciphers``: names and patterns, after ``+``, ``-`` or ``^`` a change of the default."""
    sign, text = (text[0], text[1:]) if text.startswith(("+", "-", "^")) else ("", text)
    named = [name for pattern in text.split(",") for name in possible if fnmatchcase(name, pattern)]
    orders = {
        "": named,
        "+": [*default, *named],
        "-": [name for name in default if name not in named],
        "^": [*named, *default],
    }
    return list(dict.fromkeys(orders[sign]))


def _names(algorithms: Sequence[bytes | str]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else name for name in algorithms]
