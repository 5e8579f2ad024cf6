"""The folders where descriptions of hosts are looked for, in order."""

from __future__ import annotations

import os
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_config_path

from simmate_remote.errors import InventoryError, Remedy

VARIABLE = "SIMMATE_REMOTE_HOSTS"
_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class HostFolder:
    """A folder of the inventory.

    Args:
        path: Where it is.
        kind: ``named`` by SIMMATE_REMOTE_HOSTS, ``checkout`` (./hosts, to be trusted first), or the ``user``'s own.
    """

    path: Path
    kind: Literal["named", "checkout", "user"]

    def files(self) -> list[Path]:
        """List the files that describe hosts, in order of their names."""
        try:
            found = [path for path in self.path.iterdir() if path.suffix in _ENDINGS and path.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise InventoryError(
                f"{self.path} cannot be read: {error.strerror}",
                remedies=(Remedy(f"ls -ld {shlex.quote(str(self.path))}", "shows whose folder it is"),),
            ) from error
        return sorted(path for path in found if not path.name.startswith("."))

    def find(self, name: str) -> Path | None:
        """Find the file of a host.

        Args:
            name: Its name in composed form; a file system may keep another form.
        """
        for path in self.files():
            if unicodedata.normalize("NFC", path.stem) == name:
                return path
        return None


def own_folder() -> HostFolder:
    """Give the folder that ``hosts add`` writes to: the one that the environment names, or the user's."""
    named = os.environ.get(VARIABLE)
    if named:
        return HostFolder(Path(named).expanduser().absolute(), "named")
    return HostFolder(user_config_path("simmate-remote") / "hosts", "user")


def search_folders() -> list[HostFolder]:
    """List the folders to look into; the first that describes a host wins.

    Raises:
        InventoryError: SIMMATE_REMOTE_HOSTS names something that is no folder.
    """
    own, user = own_folder(), HostFolder(user_config_path("simmate-remote") / "hosts", "user")
    if own.kind == "named":
        if not own.path.is_dir():
            raise InventoryError(
                f"{VARIABLE} names {own.path}, and that is no folder",
                remedies=(
                    Remedy(f"env -u {VARIABLE} simmate-remote hosts list", "uses your own hosts"),
                    Remedy("simmate-remote hosts add NAME --ssh ADDRESS", "makes the folder, with a host in it"),
                ),
            )
        return [own, user]
    try:
        here = Path.cwd() / "hosts"
    except OSError:  # the current folder was deleted
        return [user]
    if not here.is_dir() or here.resolve() == user.path.resolve():
        return [user]
    return [HostFolder(here, "checkout"), user]
