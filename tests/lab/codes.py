"""One-time codes: HOTP (RFC 4226), asked for by the box's PAM."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from pathlib import Path

# Packages' own PAM files ask for much that a machine of namespaces has not (a session bus, limits, an audit log).
PAM_SERVICE = """
auth required pam_oath.so usersfile=/etc/users.oath window=20 digits=6
account required pam_permit.so
session required pam_permit.so
"""


class OneTimeCodes:
    """The tokens of all users.

    Args:
        folder: The lab's folder, with ``etc``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._secrets: dict[str, bytes] = {}
        self._counters: dict[str, int] = {}

    def enrol(self, user: str) -> None:
        """Give a user a token."""
        self._secrets[user] = secrets.token_bytes(20)
        self._counters[user] = 0
        path = self._folder / "etc/users.oath"
        path.touch(mode=0o600)
        with path.open("a") as file:
            file.write(f"HOTP {user} - {self._secrets[user].hex()}\n")

    def ask_for_codes(self) -> None:
        """Make codes the way to log in with keyboard-interactive."""
        (self._folder / "etc/pam.d/sshd").write_text(PAM_SERVICE)

    def next_code(self, user: str) -> str:
        """Return the next code of six digits."""
        counter = self._counters[user]
        self._counters[user] = counter + 1
        digest = hmac.digest(self._secrets[user], struct.pack(">Q", counter), hashlib.sha1)
        start = digest[-1] & 0xF
        (number,) = struct.unpack(">I", digest[start : start + 4])
        return f"{(number & 0x7FFFFFFF) % 10**6:06d}"
