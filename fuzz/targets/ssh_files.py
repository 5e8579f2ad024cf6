"""What is read of SSH's own files: known_hosts, and the options that ``ssh -G`` prints."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path

from fuzz.bounds import Budget, Finding
from fuzz.script import Script
from simmate_remote.link.known_hosts import HostName, KnownHosts, Standing
from simmate_remote.link.settings import HostSettings
from simmate_remote.link.ssh_config import parse_options
from simmate_remote.link.target import Target

_KEY = b"AAAAC3NzaC1lZDI1NTE5AAAAIPdXyJHLmGvXJtWqTQ0KzGfDlXcVQk2sUTLfLbLkXb5y"
_WORDS = (
    b"lab",
    b"ssh-ed25519",
    _KEY,
    b"@revoked",
    b"@cert-authority",
    b"|1|a\xc3\xa9=|b",
    b"|1|YQ==|YQ==",
    b"#",
    b"!lab",
)
_OPTIONS = (b"hostname", b"port", b"user", b"proxyjump", b"identityfile", b"userknownhostsfile", b"connecttimeout")
_VALUES = (
    b"lab",
    b"22",
    b"none",
    b"%h",
    b"%C",
    b"~nobody-here/key",
    b"${HOME}",
    b'"a b',
    b"a@b:22,c",
    b"\xc2\xb2",
    b"%",
    b"1" * 5000,
)


@functools.cache
def known_hosts() -> Path:
    """Give the path of a file, in memory where that is possible."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder below it has a random name
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    return folder / "known_hosts"


def words(script: Script, known: tuple[bytes, ...], most: int) -> bytes:
    """Give some words, known and unknown ones, with a space between."""
    found = []
    for _ in range(script.number() % most + 1):
        word = script.choice(known) if script.number() < 170 else script.take(script.number() % 24)
        found.append(word * script.choice((1, 1, 1, 1, 1, 60)))
    return b" ".join(found)


def check_known_hosts(text: bytes) -> None:
    """Read a file; a key that no line has is never known."""
    known_hosts().write_bytes(text)
    for host in (HostName("lab"), HostName("lab", 2222), HostName("a" * 60 + "!", alias=True)):
        known = KnownHosts.read(host, [known_hosts()])
        if known.judge("ssh-ed25519", b"a key that nobody has").standing is Standing.KNOWN:
            raise Finding("a key is known that no line has")
        assert known.algorithms is not None
        assert known.revoked_authorities is not None
        for key in known.authorities:
            assert key.public_line


def check_settings(text: bytes) -> None:
    """Use every option in every way that a login does."""
    options = parse_options(text.decode(errors="surrogateescape").splitlines())
    settings = HostSettings(Target("lab"), options, {})
    for use in (
        lambda: settings.port,
        lambda: settings.jumps,
        lambda: settings.proxy_command,
        lambda: settings.paths("identityfile"),
        lambda: settings.path_list("userknownhostsfile"),
        lambda: settings.number("connecttimeout", 1),
        lambda: settings.expand(settings.user),
    ):
        with contextlib.suppress(ValueError):
            use()


def check(data: bytes) -> None:
    """Read what one of the two may hold."""
    script, budget = Script(data), Budget()
    is_options = script.number() % 2
    lines: list[bytes] = []
    while not script.over and len(lines) < 200:
        line = words(script, _OPTIONS, 1) + b" " + words(script, _VALUES, 3) if is_options else words(script, _WORDS, 4)
        lines.append(line)
    text = b"\n".join(lines)
    budget.fed = len(text)
    (check_settings if is_options else check_known_hosts)(text)
    budget.check()


def seeds() -> list[bytes]:
    """Give inputs to begin with."""

    def line(*which: int) -> bytes:
        return bytes([len(which) - 1]) + b"".join(bytes([0, each, 0]) for each in which)

    def option(name: int, value: int) -> bytes:
        return line(name) + line(value)

    stars = bytes([0]) + bytes([200, 2]) + b"*a" + bytes([5])
    return [
        bytes([0]) + line(0, 1, 2) + line(3, 0, 1, 2) + line(6, 1, 2),
        bytes([0]) + line(5, 1, 2),
        bytes([0]) + bytes([2]) + stars[1:] + bytes([0, 1, 0, 0, 2, 0]),
        bytes([1]) + b"".join(option(name, value) for name in range(7) for value in range(12)),
    ]
