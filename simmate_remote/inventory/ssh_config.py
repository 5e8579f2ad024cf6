"""Which hosts the user's SSH configuration names outright."""

from __future__ import annotations

import glob
import re
import shlex
from pathlib import Path

from simmate_remote.inventory.words import check_host_name

_KEYWORD_AND_REST = re.compile(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)")
_DEEPEST_INCLUDE = 16  # OpenSSH's own limit
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")


def find_ssh_hosts() -> list[str]:
    """List the names after ``Host`` in ~/.ssh/config and the system's file that are no patterns.

    ``Include`` is followed wherever it stands. A file that is missing or cannot be read names no hosts: ssh itself
    will say what is wrong with it.
    """
    names: dict[str, None] = {}
    for config in (Path.home() / ".ssh/config", _SYSTEM_CONFIG):
        _collect(config, config.parent, 0, names)
    return list(names)


def _collect(path: Path, folder: Path, depth: int, names: dict[str, None]) -> None:
    if depth > _DEEPEST_INCLUDE:
        return
    try:
        if not path.is_file():  # a pipe would block
            return
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in text.splitlines():
        keyword, words = _split(line)
        if keyword == "host":
            for word in words:
                if _is_plain(word):
                    names[word] = None
        elif keyword == "include":
            for word in words:
                pattern = Path(word).expanduser() if word.startswith("~/") else folder / word
                for included in sorted(glob.glob(str(pattern))):
                    _collect(Path(included), folder, depth + 1, names)


def _split(line: str) -> tuple[str, list[str]]:
    match = _KEYWORD_AND_REST.match(line)
    if match is None:
        return "", []
    try:
        return match[1].lower(), shlex.split(match[2], comments=True)
    except ValueError:  # a quote that nothing closes; ssh refuses the line
        return "", []


def _is_plain(word: str) -> bool:
    if any(character in word for character in "*?!"):
        return False
    try:
        check_host_name(word)
    except ValueError:
        return False
    return True
