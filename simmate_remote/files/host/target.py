"""The tree that files are put into: every step into it is a step from an open folder, and never through a link."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict

from simmate_remote.errors import ProtocolError, TargetFolderError
from simmate_remote.files.host.entries import PARTIAL_PREFIX, PARTIAL_SUFFIX, PERMISSIONS, Entry
from simmate_remote.files.host.order import shown

OPEN_FOLDERS = 32
NEEDED = stat.S_IRWXU
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class NotThereError(Exception):
    """A folder of the tree could not be made or entered, which has been told already."""


class InTheWayError(Exception):
    """Something is in the way that is not replaced: a folder where a file should go, a file where a folder should."""


class _Folder:
    __slots__ = ("empty", "mode", "mtime_ns", "name", "parent", "refused")

    def __init__(self, parent: int, name: bytes, mode: int, mtime_ns: int, *, refused: bool = False) -> None:
        self.parent = parent
        self.name = name
        self.mode = mode
        self.mtime_ns = mtime_ns
        self.refused = refused
        self.empty = False


class Tree:
    """Folders by number, as the sender's list numbers them; number 0 is the target itself.

    Args:
        root: The target.
        dry_run: Whether nothing may be made.

    Raises:
        TargetFolderError: The target cannot be made, or is no folder.
    """

    def __init__(self, root: bytes, *, dry_run: bool) -> None:
        self.root = root
        self.made = 0
        self._dry_run = dry_run
        self._folders = [_Folder(0, b"", 0, 0)]
        self._open: OrderedDict[int, int] = OrderedDict()
        try:
            if not dry_run:
                os.makedirs(root, exist_ok=True)
            # The way to the target is the user's own, links included.
            self._root = os.open(root, _FOLDER)
        except FileNotFoundError as error:
            if not dry_run:
                raise self._no_target(error) from error
            self._root = -1
            self._folders[0].empty = True
        except OSError as error:
            raise self._no_target(error) from error

    def add(self, entry: Entry) -> None:
        """Take the next folder of the list, and make it if it is not there.

        Raises:
            InTheWayError: Something else has its name.
            NotThereError: The folder around it was refused.
            OSError: It cannot be made or entered.
        """
        around = self._known(entry.parent)
        folder = _Folder(entry.parent, entry.name, entry.mode, entry.mtime_ns, refused=True)
        self._folders.append(folder)
        if around.refused:
            raise NotThereError
        found = self.stat(entry.parent, entry.name)
        if found is None:
            folder.empty = True
            if not self._dry_run:
                os.mkdir(entry.name, entry.mode | NEEDED, dir_fd=self.fd(entry.parent))
            self.made += 1
        elif not stat.S_ISDIR(found.st_mode):
            kind = "a link, which is not followed," if stat.S_ISLNK(found.st_mode) else "a file"
            raise InTheWayError(f"is {kind} at the target: nothing below it was copied")
        elif not self._dry_run and found.st_mode & NEEDED != NEEDED and found.st_uid == os.geteuid():
            # One that was made read-only by an earlier transfer; it gets its own mode again at the end.
            os.chmod(entry.name, stat.S_IMODE(found.st_mode) | NEEDED, dir_fd=self.fd(entry.parent))
        folder.refused = False

    def fd(self, number: int) -> int:
        """Give a folder's descriptor, which is good until a few others were asked for.

        Raises:
            OSError: It cannot be entered, or has become a link.
        """
        if number == 0:
            return self._root
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        # Down from the next folder that is open: there may be more of them than calls may be nested.
        way = [number]
        while (above := self._folders[way[-1]].parent) and above not in self._open:
            way.append(above)
        descriptor = self._open[above] if above else self._root
        for each in reversed(way):
            descriptor = os.open(self._folders[each].name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            self._open[each] = descriptor
            if len(self._open) > OPEN_FOLDERS:
                os.close(self._open.popitem(last=False)[1])
        return descriptor

    def stat(self, number: int, name: bytes) -> os.stat_result | None:
        """Look at something in a folder, not through a link; None if it is not there.

        Raises:
            NotThereError: The folder was refused.
            OSError: It cannot be looked at.
        """
        folder = self._known(number)
        if folder.refused:
            raise NotThereError
        if folder.empty:
            return None
        try:
            return os.stat(name, dir_fd=self.fd(number), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_new(self, number: int) -> bool:
        """Say whether a folder was not there before."""
        return self._known(number).empty

    def link(self, entry: Entry) -> bool:
        """Make a link that leads where the entry's does, and give whether there was something to do.

        Raises:
            InTheWayError: A folder has its name.
            NotThereError: The folder around it was refused.
            OSError: It cannot be made.
        """
        found = self.stat(entry.parent, entry.name)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise InTheWayError("is a folder at the target, and a link at its origin")
        is_link = found is not None and stat.S_ISLNK(found.st_mode)
        if is_link and os.readlink(entry.name, dir_fd=self.fd(entry.parent)) == entry.link:
            return False
        if not self._dry_run:
            folder = self.fd(entry.parent)
            name = passing_name()
            os.symlink(entry.link, name, dir_fd=folder)
            try:
                os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)
                os.rename(name, entry.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(name, dir_fd=folder)
                raise
        return True

    def path(self, number: int, name: bytes) -> str:
        """Give the path of something in a folder, for messages."""
        names = [name]
        while number:
            names.append(self._folders[number].name)
            number = self._folders[number].parent
        return shown([self.root.rstrip(b"/"), *reversed(names)])

    def finish(self, number: int) -> None:
        """Give a folder its mode and time, when nothing more will be put into it.

        Raises:
            OSError: It does not let us.
        """
        folder = self._folders[number]
        if folder.refused or self._dry_run:
            return
        descriptor = self.fd(number)
        found = os.fstat(descriptor)
        if found.st_mtime_ns != folder.mtime_ns:
            os.utime(descriptor, ns=(folder.mtime_ns, folder.mtime_ns))
        if found.st_mode & PERMISSIONS != folder.mode:
            os.chmod(descriptor, folder.mode)

    def name_of(self, number: int) -> str:
        """Give the path of a folder, for messages."""
        return self.path(self._folders[number].parent, self._folders[number].name)

    @property
    def count(self) -> int:
        """How many folders there are, the target among them."""
        return len(self._folders)

    def close(self) -> None:
        """Let go of all folders."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _known(self, number: int) -> _Folder:
        if number >= len(self._folders):
            raise ProtocolError("the list of files names a folder that it has not listed")
        return self._folders[number]

    def _no_target(self, error: OSError) -> TargetFolderError:
        return TargetFolderError(
            f"the folder {shown(self.root)} cannot be used: {error.strerror or error}", meanwhile="nothing was copied"
        )


def passing_name() -> bytes:
    """Give a name that something has until it is complete."""
    return PARTIAL_PREFIX + os.urandom(8).hex().encode() + PARTIAL_SUFFIX
