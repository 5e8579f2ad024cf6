"""The receiver: looks at what the sender lists, asks for what it lacks, and puts that in its place."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from simmate_remote.errors import NoSpaceError, ProtocolError, TargetFolderError
from simmate_remote.files.host.entries import (
    FILE,
    FOLDER,
    GREW,
    OK,
    ONLY_ASKED,
    PERMISSIONS,
    SMALL,
    Begin,
    Entry,
    Want,
    pack_wants,
    unpack_entries,
)
from simmate_remote.files.host.frames import MAX_CONTENT, FrameReader, FrameWriter, Kind
from simmate_remote.files.host.incoming import Incoming
from simmate_remote.files.host.order import Problem, Tally, pack_problem, unpack_problem
from simmate_remote.files.host.partial import Basis, TakenOverError, open_basis, open_partial, partial_name, seal
from simmate_remote.files.host.sending import WINDOW, digest_of, fatal
from simmate_remote.files.host.target import InTheWayError, NotThereError, Tree

TIME_UNITS = (1, 100, 1_000, 10_000_000, 1_000_000_000)
"""Nanoseconds to which file systems cut times off.

Most do not; NTFS and SMB do to 100 ns, some network ones to a microsecond or a second, exFAT to 10 ms.
The two seconds of FAT are left out: what was changed a second later would be taken for the same.
"""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class _Awaited(NamedTuple):
    entry: Entry
    basis: Basis | None


class Receiver:
    """The other end of a transfer.

    Args:
        reader: Frames from the sender.
        writer: Frames to it.
        tally: Counts what is done.
        tree: What the files go into.
        dry_run: Whether nothing may be written.
        checksum: Whether files of the same size are compared by their content.
    """

    def __init__(
        self, reader: FrameReader, writer: FrameWriter, tally: Tally, tree: Tree, *, dry_run: bool, checksum: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tally = tally
        self._tree = tree
        self._dry_run = dry_run
        self._checksum = checksum
        self._looked_at = 0
        self._awaited: dict[int, _Awaited] = {}
        self._incoming: Incoming | None = None
        self._buffer = memoryview(bytearray(MAX_CONTENT))
        self._listed = False
        self._had = False  # whether the target has all of the file in progress

    def run(self) -> None:
        """Receive everything.

        Raises:
            FilesError: It can go no further.
            SimmateRemoteError: The sender cannot; in its own words.
            EOFError: The sender went away.
        """
        try:
            while self._take(*self._reader.next()):
                pass
            for number in range(self._tree.count - 1, 0, -1):
                try:
                    self._tree.finish(number)
                except OSError as error:
                    self._report(self._tree.name_of(number), error)
        finally:
            if self._incoming is not None:
                self._incoming.close()
            self._tally.folders = self._tree.made
            self._tree.close()
        self._writer.add(Kind.SUMMARY, self._tally.packed())
        self._writer.flush()

    def _take(self, kind: Kind, content: memoryview) -> bool:
        """Do what a frame says, and give whether there will be more of them."""
        match kind:
            case Kind.PIECE:
                self._write(content)
            case Kind.BEGIN:
                self._begin(Begin.unpacked(content))
            case Kind.FINISH:
                self._finish(content)
            case Kind.ENTRIES:
                wants = [want for entry in unpack_entries(content) if (want := self._consider(entry)) is not None]
                self._writer.add(Kind.WANTS, pack_wants(self._looked_at, wants))
                self._writer.flush()
            case Kind.LISTED:
                self._listed = True
            case Kind.PROBLEM:
                self._tally.add(unpack_problem(content))
            case Kind.DONE:
                if self._awaited or self._incoming is not None or not self._listed:
                    raise ProtocolError("the sender ended before everything was sent")
                return False
            case Kind.FATAL:
                raise fatal(content)
            case _:
                raise ProtocolError(f"a sender does not say {kind.name}")
        return True

    # The list

    def _consider(self, entry: Entry) -> Want | None:
        try:
            if entry.kind == FILE:
                self._looked_at += 1
                return self._look(entry)
            if entry.kind == FOLDER:
                self._tree.add(entry)
            elif self._tree.link(entry):
                self._tally.links += 1
        except ProtocolError:  # which is an OSError, too
            raise
        except NotThereError:
            pass
        except (InTheWayError, OSError) as error:
            self._report(self._tree.path(entry.parent, entry.name), error)
        return None

    def _look(self, entry: Entry) -> Want | None:
        found = self._tree.stat(entry.parent, entry.name)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise InTheWayError("is a folder at the target, and a file at its origin")
        there = found if found is not None and stat.S_ISREG(found.st_mode) else None
        nothing = there is not None and entry.size == there.st_size == 0
        if there is not None and (nothing or (not self._checksum and is_same(entry, there))):
            if there.st_mode & PERMISSIONS != entry.mode or not is_same(entry, there):
                self._keep(entry, entry.mode, entry.mtime_ns)
            self._tally.unchanged += 1
            return None
        if len(self._awaited) > 2 * WINDOW:
            raise ProtocolError("the sender lists more than it was let")
        basis = self._find_basis(entry, there)
        number = self._looked_at - 1
        self._awaited[number] = _Awaited(entry, basis)
        self._tally.wanted_files += 1
        self._tally.wanted_bytes += entry.size - (basis.size if basis else 0)
        return Want(number, basis.size, basis.digest) if basis else Want(number)

    def _find_basis(self, entry: Entry, there: os.stat_result | None) -> Basis | None:
        """Find what may have the first bytes of a file: what a broken transfer left, or the file before it grew."""
        folder, file = self._tree, None
        name = entry.name
        if entry.size > SMALL and not folder.is_new(entry.parent):
            file = open_partial(folder.fd(entry.parent), entry.name)
            name = partial_name(entry.name)
        if file is None and there is not None:
            grew = SMALL < there.st_size < entry.size
            if grew or (self._checksum and 0 < there.st_size == entry.size):
                name = entry.name
                with contextlib.suppress(PermissionError):  # it is replaced all the same
                    file = open_basis(folder.fd(entry.parent), name)
        if file is None:
            return None
        try:
            size = os.fstat(file).st_size
            if size > entry.size:
                return None
            return Basis.of(name, file, digest_of(file, size, self._buffer, self._tally.go_on))
        finally:
            os.close(file)

    def _keep(self, entry: Entry, mode: int, mtime_ns: int) -> None:
        """Give a file that has the right content the right mode and time, too."""
        if not self._dry_run:
            file = open_basis(self._tree.fd(entry.parent), entry.name)
            try:
                seal(file, mode, mtime_ns)
            finally:
                os.close(file)

    # Content

    def _begin(self, head: Begin) -> None:
        awaited = self._awaited.pop(head.number, None)
        if awaited is None or self._incoming is not None:
            raise ProtocolError("the sender begins a file that is not awaited")
        entry, basis = awaited
        if head.offset and (basis is None or head.offset != basis.size):
            raise ProtocolError("the sender begins a file where it was not asked to")
        self._incoming = Incoming(self._tree, entry, head)
        self._had = head.offset == head.size and basis is not None and basis.name == entry.name
        if not self._had and not self._dry_run:
            self._try(lambda incoming: incoming.begin(basis, self._tally.go_on))

    def _write(self, content: memoryview) -> None:
        self._tally.travelled += len(content)
        self._try(lambda incoming: incoming.write(content))

    def _finish(self, content: memoryview) -> None:
        incoming, ending = self._in_progress(), bytes(content)
        entry, head = incoming.entry, incoming.head
        if ending == bytes([ONLY_ASKED]) and not self._had:
            self._tally.foresee(self._tree.path(entry.parent, entry.name), head.size - head.offset)
        elif self._had and ending in (bytes([OK]), bytes([ONLY_ASKED])):
            self._try(lambda _: self._keep(entry, head.mode, head.mtime_ns))
            self._tally.unchanged += 1
        elif ending in (bytes([OK]), bytes([GREW])) and not incoming.refused:
            self._try(lambda incoming: incoming.complete())
            self._tally.files += not incoming.refused
        incoming.close()
        self._incoming = None

    def _in_progress(self) -> Incoming:
        if self._incoming is None:
            raise ProtocolError("the sender sends content of no file")
        return self._incoming

    def _try(self, action: Callable[[Incoming], None]) -> None:
        """Do something with the file in progress; what cannot be done is told, and the file let go."""
        incoming = self._in_progress()
        try:
            action(incoming)
        except ProtocolError:
            raise
        except (TakenOverError, OSError) as error:
            incoming.refused = True
            incoming.close()
            self._report(self._tree.path(incoming.entry.parent, incoming.entry.name), error)

    # Problems

    def _report(self, path: str, error: Exception) -> None:
        """Tell of something that could not be written.

        Raises:
            FilesError: Nothing further can be.
        """
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            if error.errno in _NO_SPACE:
                raise NoSpaceError(f"no space is left for {path}: {reason}", meanwhile=self._so_far()) from error
            if error.errno == errno.EROFS:
                raise TargetFolderError(f"{path} cannot be written: {reason}", meanwhile=self._so_far()) from error
            problem = Problem(path, f"cannot be written: {reason}")
        else:
            problem = Problem(path, str(error))
        self._tally.add(problem)
        self._writer.add(Kind.PROBLEM, pack_problem(problem))

    def _so_far(self) -> str:
        return (
            f"{self._tally.files:,} files are complete, and stay; the same command goes on from there, "
            "within a large file too"
        )


def is_same(entry: Entry, there: os.stat_result) -> bool:
    """Say whether a file has the size and the time of its original, the latter as far as its file system keeps it."""
    if entry.size != there.st_size:
        return False
    original, kept = entry.mtime_ns, there.st_mtime_ns
    return any(kept % unit == 0 and original // unit == kept // unit for unit in TIME_UNITS)
