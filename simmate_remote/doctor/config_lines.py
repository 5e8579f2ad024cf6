"""From which lines an SSH configuration takes what it says about a host.

``ssh -G`` tells what it says, and not where; this follows ``Include``, ``Host`` and ``Match`` as ssh_config(5)
describes them. What only ``ssh`` can decide (``Match exec``) is taken as not fulfilled, and noted.
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from simmate_remote.link.settings import local_home, local_user
from simmate_remote.link.target import Target

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
DEEPEST_INCLUDE = 16
"""OpenSSH's own limit."""

SEVERAL = {"identityfile", "certificatefile", "sendenv", "setenv", "localforward", "remoteforward"}
"""Options of which every line counts, and not only the first."""

_LINE = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)")


@dataclass(frozen=True)
class ConfigLine:
    """A line that applies.

    Args:
        option: In lower case.
        value: As written.
        file: Where it stands.
        number: The line, from 1.
    """

    option: str
    value: str
    file: Path
    number: int

    def __str__(self) -> str:
        return f"{self.file} line {self.number}"


@dataclass
class Lines:
    """The lines that apply to one host.

    Args:
        applying: Those, in order.
        undecided: Lines that only ``ssh`` can decide.
        files: The files that were read.
    """

    applying: list[ConfigLine] = field(default_factory=list)
    undecided: list[ConfigLine] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def get(self, option: str) -> ConfigLine | None:
        """Give the line that says an option."""
        return next((line for line in self.applying if line.option == option), None)


def find_lines(target: Target, config: Path | None) -> Lines:
    """Find the lines that apply to a target.

    Args:
        target: What is typed after ``ssh``.
        config: The file of ``ssh -F``; None: the user's own, and after it the system's.
    """
    reader = _Reader(target)
    for file in [config] if config is not None else [Path(local_home(), ".ssh/config"), SYSTEM_CONFIG]:
        folder = SYSTEM_CONFIG.parent if file == SYSTEM_CONFIG else Path(local_home(), ".ssh")
        reader.read(file, folder, active=True, depth=0)
    return reader.lines


class _Reader:
    def __init__(self, target: Target) -> None:
        self.lines = Lines()
        self._target = target

    def read(self, file: Path, folder: Path, *, active: bool, depth: int) -> None:
        try:
            text = file.read_text(errors="surrogateescape")
        except OSError:
            return
        self.lines.files.append(file)
        outer = active
        for number, content in enumerate(text.splitlines(), 1):
            match = _LINE.match(content)
            if match is None:
                continue
            line = ConfigLine(match[1].lower(), match[2].strip(), file, number)
            words = _words(line.value)
            if line.option == "host":
                active = outer and self._fits(words, self._target.name)
            elif line.option == "match":
                active = outer and self._matches(words, line)
            elif not active:
                continue
            elif line.option == "include" and depth < DEEPEST_INCLUDE:
                for word in words:
                    pattern = local_home() + word[1:] if word.startswith("~/") else str(folder / word)
                    for included in sorted(glob.glob(pattern)):
                        self.read(Path(included), folder, active=True, depth=depth + 1)
            elif line.option in SEVERAL or self.lines.get(line.option) is None:
                self.lines.applying.append(line)

    def _fits(self, patterns: list[str], name: str) -> bool:
        """Judge a list of patterns: one must fit, and none that is negated may."""
        found = False
        for pattern in patterns:
            if fnmatchcase(name.lower(), pattern.removeprefix("!").lower()):
                if pattern.startswith("!"):
                    return False
                found = True
        return found

    def _matches(self, words: list[str], line: ConfigLine) -> bool:
        hostname = self.lines.get("hostname")
        user = self.lines.get("user")
        values: dict[str, Callable[[], str]] = {
            "host": lambda: hostname.value if hostname else self._target.name,
            "originalhost": lambda: self._target.name,
            "user": lambda: self._target.user or (user.value if user else local_user()),
            "localuser": local_user,
        }
        rest = list(words)
        while rest:
            criterion = rest.pop(0).lower()
            wanted = not criterion.startswith("!")
            criterion, equals, argument = criterion.removeprefix("!").partition("=")
            if criterion == "all":
                fulfilled = True
            elif criterion in values and (rest or equals):
                patterns = (argument if equals else rest.pop(0)).split(",")
                fulfilled = self._fits(patterns, values[criterion]())
            else:
                self.lines.undecided.append(line)
                return False
            if fulfilled is not wanted:
                return False
        return True


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a quote that nothing closes; ssh refuses the file
        return text.split()
