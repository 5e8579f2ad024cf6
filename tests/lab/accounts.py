"""The users of the box: their homes, login shells, keys and passwords, all in the lab's own files."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FIRST_UID = 64200
STARTUP_FILES = {
    "bash": ".bashrc",
    "sh": ".profile",
    "csh": ".cshrc",
    "tcsh": ".tcshrc",
    "fish": ".config/fish/config.fish",
}
KEPT_SYSTEM_USERS = ("root", "nobody", "sshd", "tty", "nogroup", "shadow", "utmp")


@dataclass(frozen=True)
class Account:
    """A user of the box.

    Args:
        name: Login name.
        uid: Number of the user, and of the group with the same name.
        home: Home folder on the box.
        shell: Login shell.
        alias: What to type after ``ssh -F <the lab's ssh_config>``.
        key: The private key that logs this user in, on this machine; ``None``: none does.
        password: The password; ``None``: the account has none.
    """

    name: str
    uid: int
    home: str
    shell: str
    alias: str
    key: Path | None
    password: str | None


class Accounts:
    """The user database of the box.

    Args:
        folder: The lab's folder, with ``etc``, ``home`` and ``keys``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_name: dict[str, Account] = {}
        for name in ("passwd", "group", "shadow"):
            path = folder / "etc" / name
            lines = [line for line in path.read_text().splitlines() if line.split(":")[0] in KEPT_SYSTEM_USERS]
            if name == "shadow":
                lines = [f"{line.split(':')[0]}:*:19000:0:99999:7:::" for line in lines]
            path.write_text("".join(line + "\n" for line in lines))
        (folder / "etc/shadow").chmod(0o600)
        for name in ("passwd-", "group-", "shadow-", "gshadow", "gshadow-"):
            (folder / "etc" / name).unlink(missing_ok=True)

    def __getitem__(self, name: str) -> Account:
        return self._by_name[name]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._by_name.values())

    def add(
        self, name: str, *, shell: str, home: str | None, bashrc: str, key: bool, password: str | None, alias: str
    ) -> Account:
        """Add a user; the arguments are those of :meth:`tests.lab.lab.Lab.account`."""
        if name in self._by_name:
            raise ValueError(f"there is already an account {name!r}")
        home = home or f"/home/{name}"
        if not home.startswith("/home/"):
            raise ValueError(f"a home is below /home on the box, not {home!r}")
        uid = FIRST_UID + len(self._by_name)
        key_file = make_key(self._folder / "keys" / name) if key else None
        account = Account(name, uid, home, shell, alias, key_file, password)
        self._append("passwd", f"{name}:x:{uid}:{uid}::{home}:{shell}")
        self._append("group", f"{name}:x:{uid}:")
        self._append("shadow", f"{name}:{hash_password(password) if password else '*'}:19000:0:99999:7:::")
        self._make_home(account, bashrc)
        self._by_name[name] = account
        return account

    def home_folder(self, account: Account) -> Path:
        """Return where, on this machine, the files of a user's home are."""
        return self._folder / "home" / account.home.removeprefix("/home/")

    def _append(self, name: str, line: str) -> None:
        with (self._folder / "etc" / name).open("a") as file:
            file.write(line + "\n")

    def _make_home(self, account: Account, startup: str) -> None:
        home = self.home_folder(account)
        home.mkdir(parents=True)
        if account.shell.endswith("bash"):
            for name in (".profile", ".bashrc", ".bash_logout"):
                if Path("/etc/skel", name).exists():
                    shutil.copy(Path("/etc/skel", name), home)
        if startup:
            path = home / STARTUP_FILES[Path(account.shell).name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(startup)
        if account.key is not None:
            (home / ".ssh").mkdir(mode=0o700)
            shutil.copy(account.key.with_suffix(".pub"), home / ".ssh/authorized_keys")
        for path in (home, *home.rglob("*")):
            os.chown(path, account.uid, account.uid)
        home.chmod(0o700)


def make_key(path: Path, kind: str = "ed25519") -> Path:
    """Make a key pair without a passphrase, and return the path of the private half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "lab", "-f", path], check=True)
    return path


def hash_password(password: str) -> str:
    """Hash a password as /etc/shadow has it (SHA-512, by the system's libcrypt)."""
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p
    hashed: bytes = libcrypt.crypt(password.encode(), f"$6$rounds=1000${secrets.token_hex(8)}$".encode())
    return hashed.decode()
