"""What the user's SSH configuration says about one machine, in the terms of a login."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shlex
import socket
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from simmate_remote.link.target import Target, parse_jump

Options = dict[str, list[str]]
"""Option in lower case → its lines, as ``ssh -G`` prints them."""


@dataclass(frozen=True)
class HostSettings:
    """One machine on the way, after the configuration was applied.

    Args:
        target: What named this machine: the destination, or an element of ProxyJump.
        options: The resolved options.
        defaults: The same for a machine that no configuration mentions, to tell a choice from a default.
    """

    target: Target
    options: Options
    defaults: Options

    @property
    def host(self) -> str:
        """HostName, the name or address to dial."""
        return self.value("hostname") or self.target.name

    @property
    def port(self) -> int:
        return int(self.value("port") or 22)

    @property
    def user(self) -> str:
        return self.value("user") or local_user()

    @property
    def jumps(self) -> list[Target]:
        """ProxyJump, the machine nearest to us first."""
        text = self.value("proxyjump")
        return [parse_jump(part) for part in text.split(",")] if text else []

    @property
    def proxy_command(self) -> str | None:
        command = self.value("proxycommand")
        return self.expand(command) if command else None

    def at(self, address: str, port: int) -> HostSettings:
        """Give the same for one of several machines behind this name."""
        known_as = self.value("hostkeyalias") or (self.host if self.port == 22 else f"[{self.host}]:{self.port}")
        there = {"hostname": [address], "port": [str(port)], "hostkeyalias": [known_as]}
        return replace(self, options=self.options | there)

    def value(self, option: str) -> str:
        """Return the text of an option; empty when it is not set, or ``none``."""
        lines = self.options.get(option)
        return "" if not lines or lines[0].lower() == "none" else lines[0]

    def chosen(self, option: str) -> str:
        """Return the text of an option if the user's configuration says it, and else an empty text."""
        return self.value(option) if self.options.get(option) != self.defaults.get(option) else ""

    def flag(self, option: str, *, default: bool) -> bool:
        """Read an option that is on or off; ``ssh`` prints some as yes and no, others as true and false."""
        text = self.value(option).lower()
        return text not in ("no", "false") if text else default

    def number(self, option: str, default: int) -> int:
        text = self.value(option)
        return int(text) if text.isdecimal() else default

    def lines(self, option: str) -> list[str]:
        """Return all lines of an option that may be given several times."""
        return [line for line in self.options.get(option, []) if line.lower() != "none"]

    def paths(self, option: str) -> list[Path]:
        """Return the files that an option names, one a line, with ``~`` and tokens filled in."""
        return [self._path(line) for line in self.lines(option)]

    def path_list(self, option: str) -> list[Path]:
        """Return the files that an option names in one line."""
        return [self._path(part) for part in _split_paths(self.value(option))]

    def environment(self) -> dict[str, str]:
        """Return the variables that SendEnv and SetEnv name; without them nothing of our environment is sent."""
        patterns = [pattern for line in self.lines("sendenv") for pattern in line.split()]
        sent = {name: value for name, value in os.environ.items() if any(fnmatchcase(name, one) for one in patterns)}
        for line in self.lines("setenv"):
            name, equals, value = line.partition("=")
            if equals:
                sent[name] = value
        return sent

    def expand(self, text: str) -> str:
        """Fill in ``%h`` and the other tokens, and ``${NAME}`` of the environment.

        Raises:
            ValueError: There is no such token, or no such variable.
        """
        text = re.sub(r"\$\{([^}]*)\}", lambda match: _environment(match[1]), text)
        return re.sub(r"%(.?)", lambda match: self._token(match[1]), text)

    def _path(self, text: str) -> Path:
        text = self.expand(text)
        home, slash, rest = text.partition("/")
        if home == "~":
            return Path(local_home() + slash + rest)
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            raise ValueError(f"{text}: there is no such user") from error

    def _token(self, letter: str) -> str:
        name = socket.gethostname()
        jump = self.value("proxyjump")
        tokens = {
            "%": "%",
            "d": local_home(),
            "h": self.host,
            "i": str(os.getuid()),
            "j": jump,
            "k": self.value("hostkeyalias") or self.target.name,
            "L": name.partition(".")[0],
            "l": name,
            "n": self.target.name,
            "p": str(self.port),
            "r": self.user,
            "T": "NONE",
            "u": local_user(),
        }
        if letter == "C":
            text = f"{name}{self.host}{self.port}{self.user}{jump}"
            # sha1 is what OpenSSH names such files by; nothing is protected by it.
            return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        if letter not in tokens:
            raise ValueError(f"%{letter} means nothing here")
        return tokens[letter]


def local_user() -> str:
    """Return the name of the user of this process."""
    return pwd.getpwuid(os.getuid()).pw_name


def local_home() -> str:
    """Return the home folder that OpenSSH uses, which is the account's and not the one of ``$HOME``."""
    return pwd.getpwuid(os.getuid()).pw_dir


def _environment(name: str) -> str:
    if name not in os.environ:
        raise ValueError(f"the variable {name} is not set")
    return os.environ[name]


def _split_paths(text: str) -> list[str]:
    if '"' in text:
        return shlex.split(text)
    # OpenSSH before 9.8 prints names with spaces without quotes: a part that begins no path belongs to the one before.
    paths: list[str] = []
    for part in text.split(" "):
        if paths and not part.startswith(("/", "~", "%", "${")):
            paths[-1] += " " + part
        elif part:
            paths.append(part)
    return paths
