"""What the near end lends to the host: sockets here whose connections are streams towards it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

from simmate_remote.errors import KeeperError
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.forward import forward_socket

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Loans:
    """What one near end has lent; it is given back when the calls of that near end are over.

    Args:
        runtime: The keeper's private folder for sockets.
    """

    def __init__(self, runtime: Path) -> None:
        self._runtime = runtime
        self._sockets: dict[Path, asyncio.Server] = {}
        self._folders: list[tuple[str, Path]] = []

    async def take(self, conversation: Conversation, target: str) -> str:
        """Make a socket that leads to a target of the near end, and give its path.

        Args:
            conversation: The near end.
            target: What the near end knows it as.

        Raises:
            KeeperError: The target has no proper name, or the socket cannot be made.
        """
        path = self._new_path(target)
        await self._listen(conversation, target, path)
        return str(path)

    async def take_folder(
        self, conversation: Conversation, target: str, files: dict[str, str], socket: str | None
    ) -> str:
        """Make a folder with files of the near end's and a socket that leads to it, and give the folder's path.

        The path is the same for whoever lends a target of this name, also later: it leads to what was lent last.

        Args:
            conversation: The near end.
            target: What the near end knows it as.
            files: Names and contents; their owner alone can read them.
            socket: The name of the socket; None: there is none.

        Raises:
            KeeperError: The target has no proper name, or the folder cannot be made.
        """
        folder = self._new_path(target)
        try:
            folder.mkdir(mode=0o700)
            self._folders.append((target, folder))
            for name, content in files.items():
                file = os.open(folder / Path(name).name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(file, "w") as writing:
                    writing.write(content)
            if socket is not None:
                await self._listen(conversation, target, folder / Path(socket).name)
            return str(self._lead_to(target, folder))
        except OSError as error:
            raise KeeperError(f"no folder for the near end's {target}: {error.strerror or error}") from error

    def give_back(self) -> None:
        """Remove what was made; what another near end has lent under the same name takes its place."""
        for path, server in self._sockets.items():
            server.close()
            path.unlink(missing_ok=True)
        self._sockets.clear()
        for target, folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
            fixed = self._runtime / target
            if not fixed.exists():
                fixed.unlink(missing_ok=True)
                if others := list(self._runtime.glob(f"{target}-????????/")):
                    self._lead_to(target, others[-1])
        self._folders.clear()

    def _new_path(self, target: str) -> Path:
        if not NAME.fullmatch(target):
            raise KeeperError(f"{target!r} is no name for what is lent: small letters, digits and hyphens")
        return self._runtime / f"{target}-{os.urandom(4).hex()}"

    async def _listen(self, conversation: Conversation, target: str, path: Path) -> None:
        try:
            self._sockets[path] = await forward_socket(conversation, target, str(path))
        except OSError as error:
            raise KeeperError(f"no socket for the near end's {target}: {error.strerror or error}") from error

    def _lead_to(self, target: str, folder: Path) -> Path:
        """Let the path that is always the same lead to a folder."""
        fixed, new = self._runtime / target, folder.with_suffix(".new")
        new.symlink_to(folder.name)
        new.replace(fixed)
        return fixed
