"""A large file on its way: beside its place, under a hidden name, until it is complete; gone on with after a break."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from simmate_remote.files.host.entries import PARTIAL_PREFIX, PARTIAL_SUFFIX, SMALL, Begin
from simmate_remote.files.host.target import passing_name

COPIED_AT_ONCE = 4 << 20


class TakenOverError(Exception):
    """Another transfer has begun this file anew meanwhile."""

    def __str__(self) -> str:
        return "another transfer is writing it: this one let it"


class Basis(NamedTuple):
    """A file at the target whose first bytes may be those of the file that is to come.

    Args:
        name: Its name.
        size: Bytes of it.
        identity: Tells whether it is still the same file, and unchanged.
        digest: Of all its bytes.
    """

    name: bytes
    size: int
    identity: tuple[int, ...]
    digest: bytes

    @classmethod
    def of(cls, name: bytes, file: int, digest: bytes) -> Basis:
        """Describe an open file."""
        return cls(name, os.fstat(file).st_size, _identity(file), digest)

    def open(self, folder: int) -> int:
        """Open it again.

        Raises:
            OSError: It cannot be, or it is not what it was.
        """
        file = open_basis(folder, self.name)
        if _identity(file) != self.identity:
            os.close(file)
            raise OSError("what is at the target was changed by somebody else meanwhile")
        return file


class Partial:
    """A file that is not complete.

    Args:
        folder: The descriptor of its folder.
        name: The name that it shall get.
        basis: What has its first bytes, if anything.
        offset: How many.
        go_on: Called now and then while these are copied.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(
        self, folder: int, name: bytes, basis: Basis | None, offset: int, go_on: Callable[[], None] = lambda: None
    ) -> None:
        self.size = offset
        self._go_on = go_on
        self._name = name
        self._hidden = partial_name(name)
        self._folder = os.dup(folder)
        self._file = -1
        try:
            if basis is None or not offset:
                self._file = self._make(None)
                return
            old = basis.open(self._folder)
            if basis.name == self._hidden and _lock(old):
                self._file = old
                os.ftruncate(old, offset)
                os.lseek(old, offset, os.SEEK_SET)
                return
            # Another file, or one whose writer may live, on the far side of a dead connection: this one is a copy.
            try:
                self._file = self._make(old)
            finally:
                os.close(old)
        except BaseException:
            self.close()
            raise

    def write(self, content: memoryview) -> None:
        """Write what comes next.

        Raises:
            OSError: It cannot be written.
        """
        while content:
            count = os.write(self._file, content)
            self.size += count
            content = content[count:]

    def complete(self, head: Begin) -> None:
        """Give the file its time, its mode and its name.

        Raises:
            OSError: It cannot have its name.
            TakenOverError: The hidden file is another's.
        """
        try:
            found = os.stat(self._hidden, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError as error:
            raise TakenOverError from error
        mine = os.fstat(self._file)
        if (found.st_dev, found.st_ino) != (mine.st_dev, mine.st_ino):
            raise TakenOverError
        seal(self._file, head.mode, head.mtime_ns)
        os.rename(self._hidden, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def close(self) -> None:
        """Let go of it: what is written stays, under the hidden name."""
        for descriptor in (self._file, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._folder = -1

    def _make(self, basis: int | None) -> int:
        passing = passing_name()
        file = make_file(passing, self._folder)
        try:
            _lock(file)
            if basis is not None:
                _copy(basis, file, self.size, self._go_on)
            # Whoever else writes to a hidden file of this name keeps what was theirs, without a name.
            os.rename(passing, self._hidden, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            os.close(file)
            os.unlink(passing, dir_fd=self._folder)
            raise
        return file


def partial_name(name: bytes) -> bytes:
    """Give the hidden name under which a file is kept until it is complete."""
    return PARTIAL_PREFIX + hashlib.sha256(name).hexdigest()[:16].encode() + PARTIAL_SUFFIX


def open_partial(folder: int, name: bytes) -> int | None:
    """Open what an earlier transfer left of a file; None: nothing that is worth it, or that is ours.

    Args:
        folder: The descriptor of its folder.
        name: The file's own name.
    """
    hidden = partial_name(name)
    try:
        file = open_basis(folder, hidden)
    except OSError:
        return None
    found = os.fstat(file)
    # Where others may write too, the hidden name can be foreseen.
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1 and found.st_size > SMALL:
        return file
    os.close(file)
    return None


def write_small(folder: int, head: Begin, name: bytes, content: bytes | bytearray) -> None:
    """Write a file that is complete in memory, so that it has its name with all its content or not at all.

    Raises:
        OSError: It cannot be written.
    """
    passing = passing_name()
    file = make_file(passing, folder)
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(file, left) :]
            seal(file, head.mode, head.mtime_ns)
        finally:
            os.close(file)
        os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(passing, dir_fd=folder)
        raise


def make_file(name: bytes, folder: int) -> int:
    """Make a file that nobody else can read yet, and give its descriptor."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)


def seal(file: int, mode: int, mtime_ns: int) -> None:
    """Give an open file the mode and the time of its original."""
    os.fchmod(file, mode)
    os.utime(file, ns=(mtime_ns, mtime_ns))


def open_basis(folder: int, name: bytes) -> int:
    """Open a file that is there already, not through a link.

    Raises:
        OSError: It cannot be.
    """
    # Only a hidden file is ever written to again.
    access = os.O_RDWR if name.startswith(PARTIAL_PREFIX) else os.O_RDONLY
    return os.open(name, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)


def _identity(file: int) -> tuple[int, ...]:
    found = os.fstat(file)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or this file system has no locks
        return False
    return True


def _copy(source: int, target: int, size: int, go_on: Callable[[], None]) -> None:
    position = 0
    while position < size:
        go_on()
        content = os.pread(source, min(COPIED_AT_ONCE, size - position), position)
        if not content:
            raise OSError("what is at the target became shorter meanwhile")
        position += os.write(target, content)  # a disk that is nearly full takes less
