"""The files that say which key belongs to which host: read them, and add one line.

They are never rewritten: comments, markers and kinds of keys that we do not know stay as they are.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import errno
import fcntl
import hashlib
import hmac
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class KnownKey:
    """One key of a known_hosts file.

    Args:
        file: Where it stands.
        line: Number of the line, from 1.
        marker: Empty, ``@cert-authority`` or ``@revoked``.
        hosts: The patterns, or the hashed name, as written.
        algorithm: The kind of the key, like ``ssh-ed25519``.
        blob: The public key as it goes over the wire.
    """

    file: Path
    line: int
    marker: str
    hosts: str
    algorithm: str
    blob: bytes

    @property
    def public_line(self) -> str:
        """The key alone, in the form of a ``.pub`` file."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()}"


class Standing(enum.Enum):
    """What known_hosts says about a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Verdict:
    """A standing, and the lines that it rests on.

    Args:
        standing: What known_hosts says.
        evidence: The line of the same key (known, revoked), of the key that was expected (changed), or of keys of other
            kinds under the same name (unknown).
    """

    standing: Standing
    evidence: tuple[KnownKey, ...] = ()


@dataclass(frozen=True)
class HostName:
    """The name under which a host's key is kept.

    Args:
        name: HostKeyAlias, or the name that is dialled, in lower case.
        port: The port; not part of the name when it is 22, or under an alias.
        alias: Whether the name is a HostKeyAlias.
    """

    name: str
    port: int = 22
    alias: bool = False

    def __str__(self) -> str:
        return self.name if self.alias or self.port == 22 else f"[{self.name}]:{self.port}"


@dataclass
class KnownHosts:
    """What all known_hosts files together say about one host.

    Args:
        host: The host.
        keys: Keys under its full name.
        without_port: Keys under its name alone, which OpenSSH accepts too when they fit.
        revoked: Keys that are revoked for every host (RevokedHostKeys).
    """

    host: HostName
    keys: list[KnownKey] = field(default_factory=list)
    without_port: list[KnownKey] = field(default_factory=list)
    revoked: list[KnownKey] = field(default_factory=list)

    @classmethod
    def read(cls, host: HostName, files: Iterable[Path], revoked: Path | None = None) -> KnownHosts:
        """Read the files that exist.

        Raises:
            OSError: A file exists and cannot be read.
            ValueError: The file of revoked keys is in a form that cannot be read here.
        """
        known = cls(host)
        for file in files:
            for key in read_keys(file):
                if matches(key.hosts, str(host)):
                    known.keys.append(key)
                elif str(host) != host.name and matches(key.hosts, host.name):
                    known.without_port.append(key)
        if revoked is not None:
            known.revoked = _read_revoked(revoked)
        return known

    def judge(self, algorithm: str, blob: bytes) -> Verdict:
        """Say how a key stands that the host shows."""
        every = self.keys + self.without_port
        refused = [key for key in every if key.marker == "@revoked"] + self.revoked
        if found := [key for key in refused if key.blob == blob]:
            return Verdict(Standing.REVOKED, tuple(found))
        if found := [key for key in every if not key.marker and key.blob == blob]:
            return Verdict(Standing.KNOWN, tuple(found))
        own = [key for key in self.keys if not key.marker]
        if found := [key for key in own if key.algorithm == algorithm]:
            return Verdict(Standing.CHANGED, tuple(found))
        return Verdict(Standing.UNKNOWN, tuple(own))

    @property
    def algorithms(self) -> list[str]:
        """Kinds of the keys that are known, in the order of the files."""
        return list(dict.fromkeys(key.algorithm for key in self.keys + self.without_port if not key.marker))

    @property
    def authorities(self) -> list[KnownKey]:
        """Keys that may sign a certificate for this host."""
        return [key for key in self.keys + self.without_port if key.marker == "@cert-authority"]

    @property
    def revoked_authorities(self) -> list[KnownKey]:
        """Revoked keys, where certificates are accepted at all: :meth:`judge` only sees plain keys."""
        every = self.keys + self.without_port + self.revoked
        return [key for key in every if key.marker == "@revoked"] if self.authorities else []


def read_keys(file: Path) -> list[KnownKey]:
    """Return the keys of a known_hosts file; lines that make no sense are skipped, as OpenSSH does.

    Raises:
        OSError: The file exists and cannot be read.
    """
    try:
        text = file.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return []
    keys = (_parse(file, number, line) for number, line in enumerate(text.split("\n"), 1))
    return [key for key in keys if key is not None]


def matches(hosts: str, name: str) -> bool:
    """Say whether the first field of a line means a name.

    Args:
        hosts: Patterns with ``*``, ``?`` and ``!``, with commas between; or one hashed name.
        name: ``name`` or ``[name]:port``.
    """
    if hosts.startswith("|"):
        parts = hosts.split("|")
        if len(parts) != 4 or parts[1] != "1":
            return False
        try:
            salt = base64.b64decode(parts[2])
        except ValueError:
            return False
        return hmac.compare_digest(parts[3].encode(errors="replace"), _hash(salt, name))
    found = False
    for pattern in hosts.lower().split(","):
        if _fits(pattern.removeprefix("!"), name.lower()):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def append_key(file: Path, host: HostName, algorithm: str, blob: bytes, *, hashed: bool) -> bool:
    """Add one line for a key, unless it is there by now, and leave every other byte as it is.

    Args:
        file: The file; it is made with mode 0600, its folder with mode 0700.
        host: The name to keep the key under.
        algorithm: The kind of the key.
        blob: The public key as it goes over the wire.
        hashed: Whether the name is kept only as a hash.

    Returns:
        Whether a line was added.

    Raises:
        OSError: The file cannot be written, or another process kept it locked for 5 s.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = str(host)
    if hashed:
        salt = os.urandom(20)
        name = f"|1|{base64.b64encode(salt).decode()}|{_hash(salt, name).decode()}"
    line = f"{name} {algorithm} {base64.b64encode(blob).decode()}\n".encode()
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab", buffering=0) as writer:
        _lock(descriptor, file)
        if any(not key.marker and key.blob == blob and matches(key.hosts, str(host)) for key in read_keys(file)):
            return False
        size = os.fstat(descriptor).st_size
        unfinished = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        writer.write(b"\n" + line if unfinished else line)
    return True


def prepare_to_append(file: Path) -> None:
    """Let ``ssh`` add a line: it makes no folder, and would write behind a last line that has no end.

    Raises:
        OSError: The folder cannot be made, or the file cannot be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError), file.open("rb+") as content:
        if content.seek(0, os.SEEK_END):
            content.seek(-1, os.SEEK_END)
            if content.read(1) != b"\n":
                content.write(b"\n")


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as ``ssh-keygen -l`` prints it: ``SHA256:…``."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _parse(file: Path, number: int, line: str) -> KnownKey | None:
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if marker not in ("", "@cert-authority", "@revoked") or len(fields) < 3:
        return None
    blob = _decode(fields[1], fields[2])
    return None if blob is None else KnownKey(file, number, marker, fields[0], fields[1], blob)


def _decode(algorithm: str, text: str) -> bytes | None:
    """Decode a public key, and require that it is of the kind that stands before it."""
    try:
        blob = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    kind = algorithm.encode(errors="surrogateescape")
    return blob if blob.startswith(len(kind).to_bytes(4, "big") + kind) else None


def _read_revoked(file: Path) -> list[KnownKey]:
    content = file.read_bytes()
    if content.startswith(b"SSHKRL\n\0"):
        raise ValueError(f"{file} is a binary revocation list, which only the ssh program reads")
    keys: list[KnownKey] = []
    for number, line in enumerate(content.decode(errors="surrogateescape").splitlines(), 1):
        fields: Sequence[str] = line.split()
        if len(fields) >= 2 and (blob := _decode(fields[0], fields[1])) is not None:
            keys.append(KnownKey(file, number, "@revoked", "*", fields[0], blob))
    return keys


def _fits(pattern: str, name: str) -> bool:
    """Match ``*`` and ``?``; a regular expression of many stars would try every way to share a name among them."""
    at = place = 0
    star, resume = -1, 0
    while place < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def _hash(salt: bytes, name: str) -> bytes:
    # HMAC with SHA-1 is the one form that OpenSSH writes and reads.
    return base64.b64encode(hmac.digest(salt, name.encode(errors="surrogateescape"), "sha1"))


def _lock(descriptor: int, file: Path) -> None:
    """Keep other connects out; ``flock`` itself could wait for ever."""
    deadline = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOTSUP):
                return  # a file system without locks; one write of one line is whole there too
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > deadline:
                raise OSError(error.errno, "another process keeps it locked", str(file)) from error
            time.sleep(0.02)
        else:
            return
