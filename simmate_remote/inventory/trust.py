"""Which ``hosts`` folders of checkouts the user has trusted, and with which content.

A description of a host can name a program to run here (an ssh_config's ProxyCommand) and a machine whose results are
unpickled here. So a folder that came with a checkout is believed only after its user has said so, and only as long as
every file below it is, byte for byte, what was trusted: a later pull asks again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_state_path

from simmate_remote.errors import InventoryError, Remedy, UntrustedFolderError
from simmate_remote.inventory.host_file import read_file, shown
from simmate_remote.inventory.private_file import write_private

_MOST_FILES = 500

Standing = Literal["trusted", "untrusted", "changed"]


@dataclass(frozen=True)
class FolderContent:
    """Every file below a folder, read once, so that what was compared is what is used.

    Args:
        folder: The folder, without symbolic links.
        files: The bytes of each file by its path relative to the folder.
    """

    folder: Path
    files: dict[str, bytes]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}


def read_folder(folder: Path) -> FolderContent:
    """Read every file below a folder; folders behind symbolic links are not entered.

    Raises:
        InventoryError: A file cannot be read, or it is too much for an inventory.
    """
    folder = folder.resolve()
    files: dict[str, bytes] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_file():  # a socket or a pipe would block, and says nothing of hosts
                continue
            if len(files) == _MOST_FILES:
                raise InventoryError(
                    f"{shown(folder)} holds more than {_MOST_FILES} files, which no inventory does",
                    meanwhile="nothing in it is used",
                    remedies=(Remedy(f"ls {shlex.quote(str(folder))}"),),
                )
            files[path.relative_to(folder).as_posix()] = read_file(path)
    return FolderContent(folder, files)


def _record_path(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return user_state_path("simmate-remote") / "trusted" / f"{name}.json"


def _trusted_digests(folder: Path) -> dict[str, str] | None:
    try:
        record = json.loads(_record_path(folder).read_bytes())
    except (OSError, ValueError):  # a record that cannot be read trusts nothing
        return None
    if isinstance(record, dict) and record.get("folder") == str(folder):
        files = record.get("files")
        return files if isinstance(files, dict) else None
    return None


def examine_folder(folder: Path) -> tuple[Standing, FolderContent | None]:
    """Say whether a folder is trusted as it is now, and give its content if it ever was.

    Raises:
        InventoryError: It was trusted once, and cannot be read now.
    """
    trusted = _trusted_digests(folder.resolve())
    if trusted is None:  # then not a byte of it is read
        return "untrusted", None
    content = read_folder(folder)
    return ("trusted" if trusted == content.digests else "changed"), content


def require_trust(folder: Path, host: str) -> FolderContent:
    """Give the content of a folder that is trusted as it is now.

    Raises:
        UntrustedFolderError: It never was, or a file has changed, appeared or vanished since.
    """
    standing, content = examine_folder(folder)
    if standing == "trusted" and content is not None:
        return content
    what = f"the folder {shown(folder)} describes this host, and you have not trusted it yet"
    if content is not None:
        trusted = _trusted_digests(content.folder) or {}
        names = ", ".join(sorted({name for name, _ in trusted.items() ^ content.digests.items()}))
        what = f"the folder {shown(folder)} describes this host, and has changed since you trusted it: {names}"
    raise UntrustedFolderError(
        what,
        host=host,
        meanwhile="nothing in that folder was used; in other folders your own hosts count",
        remedies=(Remedy("simmate-remote hosts trust", "shows what it says, and asks"),),
    )


def record_trust(content: FolderContent) -> None:
    """Remember that the user trusts a folder with exactly this content."""
    record = {"folder": str(content.folder), "since": time.time(), "files": content.digests}
    write_private(_record_path(content.folder), json.dumps(record, indent=1), overwrite=True)


def forget_trust(folder: Path) -> bool:
    """Trust a folder no longer; says whether it was trusted before."""
    try:
        _record_path(folder.resolve()).unlink()
    except FileNotFoundError:
        return False
    return True
