"""What a user types after ``ssh``: an alias, ``user@name`` or ``ssh://user@name:port``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

# What OpenSSH 9.6 refuses too, because ProxyCommand and Match exec hand these names to a shell.
_UNSAFE_IN_NAMES = frozenset("'`\"$\\;&<>|(){}")
_UNSAFE_IN_USERS = frozenset("'`\";&<>|(){}")


@dataclass(frozen=True)
class Target:
    """One machine to log in to, before any configuration is applied.

    Args:
        name: An alias or a host name; never empty, never starts with ``-``.
        user: The user, where one was typed.
        port: The port, where one was typed.
    """

    name: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        if self.port is None:
            return f"{user}{self.name}"
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"ssh://{user}{name}:{self.port}"


def parse_target(text: str) -> Target:
    """Take a destination of the ssh command line apart.

    Args:
        text: ``name``, ``user@name`` or ``ssh://[user@]name[:port]``.

    Raises:
        ValueError: It is empty, or has characters that no host or user name has.
    """
    if text.startswith("ssh://"):
        return _parse_address(text[len("ssh://") :].rstrip("/"), quoted=True)
    user, at, name = text.rpartition("@")
    return _checked(name, user if at else None, None)


def parse_jump(text: str) -> Target:
    """Take one element of ProxyJump apart: ``[user@]name[:port]``, or the same as an ``ssh://`` address.

    Raises:
        ValueError: It is empty, or has characters that no host or user name has.
    """
    text = text.strip()
    return parse_target(text) if text.startswith("ssh://") else _parse_address(text, quoted=False)


def _parse_address(text: str, *, quoted: bool) -> Target:
    user, at, place = text.rpartition("@")
    if place.startswith("["):
        name, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} has a bracket that is not closed")
        port = rest[1:]
    elif place.count(":") == 1:
        name, _, port = place.partition(":")
    else:
        name, port = place, ""
    if quoted:
        user = unquote(user)
    return _checked(name, user if at else None, _port(port) if port else None)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is not a port: a number from 1 to 65535 is expected")
    return int(text)


def _checked(name: str, user: str | None, port: int | None) -> Target:
    if not name:
        raise ValueError("the name of the host is empty")
    if name.startswith("-") or any(c in _UNSAFE_IN_NAMES or c.isspace() or not c.isprintable() for c in name):
        raise ValueError(f"{name!r} is not the name of a host")
    if user is not None and (
        not user
        or user.startswith("-")
        or user.endswith("\\")
        or any(c in _UNSAFE_IN_USERS or not c.isprintable() for c in user)
        or " -" in user
    ):
        raise ValueError(f"{user!r} is not the name of a user")
    return Target(name, user, port)
