"""The sender: lists what there is, hears what is wanted of it, and sends that, all at the same time."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from simmate_remote.errors import ProtocolError, SimmateRemoteError, error_from_dict
from simmate_remote.files.host.entries import (
    CHANGED,
    FAILED,
    FILE,
    GREW,
    OK,
    ONLY_ASKED,
    PERMISSIONS,
    SMALL,
    Begin,
    Want,
    mtime_of,
    unpack_wants,
)
from simmate_remote.files.host.frames import MAX_CONTENT, FrameReader, FrameWriter, Kind
from simmate_remote.files.host.order import Problem, Tally, pack_problem, read_json, shown, unpack_problem
from simmate_remote.files.host.sources import Listed

T = TypeVar("T")

BATCH = 512
"""Entries that are listed together."""

WINDOW = 16 * 1024
"""Files that were listed, and neither refused nor sent; with this many, listing waits."""

LAST_WORD = 10.0
"""Seconds that the receiver gets to say why it went away."""


class Sender:
    """One end of a transfer.

    Args:
        reader: Frames from the receiver.
        writer: Frames to it.
        tally: Counts what is done.
        dry_run: Whether only to say what would be sent.
        hang_up: Ends the connection, which wakes the thread that hears; None: this process ends with the transfer.
    """

    def __init__(
        self,
        reader: FrameReader,
        writer: FrameWriter,
        tally: Tally,
        *,
        dry_run: bool,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tally = tally
        self._dry_run = dry_run
        self._hang_up = hang_up
        self._news = threading.Condition()
        self._open: dict[int, tuple[bytes, int]] = {}  # files that were listed, and neither refused nor sent
        self._wants: deque[Want] = deque()
        self._told: deque[Problem] = deque()
        self._listed = 0
        self._answered = 0
        self._summary = False
        self._end: Exception | None = None
        self._buffer = memoryview(bytearray(MAX_CONTENT))

    def report(self, problem: Problem) -> None:
        """Tell of something that cannot be sent."""
        self._tally.add(problem)
        self._told.append(problem)

    def run(self, listing: Iterator[Listed]) -> None:
        """Send what is wanted of a list.

        Raises:
            SimmateRemoteError: The receiver can go no further; in its own words.
            EOFError: It went away.
        """
        hearing = threading.Thread(target=self._hear, daemon=True)
        hearing.start()
        try:
            self._send(listing)
        except (BrokenPipeError, ConnectionResetError) as error:
            hearing.join(LAST_WORD)
            raise (self._end or EOFError("the receiver went away")) from error
        finally:
            if self._hang_up is not None:
                self._hang_up()
                hearing.join()

    def _send(self, listing: Iterator[Listed]) -> None:
        more = True
        while True:
            if more and len(self._open) < WINDOW:
                more = self._list(listing)
            if not self._wants:
                # Before a wait everything must be on its way: the receiver may be waiting for it.
                self._writer.flush()
            with self._news:
                self._wait(partial(self._can_go_on, WINDOW if more else 1))
                want = self._wants.popleft() if self._wants else None
            if want is not None:
                self._send_file(want, *self._open[want.number])
                with self._news:
                    del self._open[want.number]
            elif not more and not self._open:
                break
        self._tell()
        self._writer.add(Kind.DONE)
        self._writer.flush()
        with self._news:
            self._wait(lambda: self._summary)

    def _can_go_on(self, limit: int) -> bool:
        return bool(self._wants) or len(self._open) < limit

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait for as long as the receiver is there."""
        self._news.wait_for(lambda: self._end is not None or condition())
        if self._end is not None:
            raise self._end

    def _list(self, listing: Iterator[Listed]) -> bool:
        """Send a part of the list, and give whether there may be more of it."""
        part = list(itertools.islice(listing, BATCH))
        with self._news:
            for entry, path in part:
                if entry.kind == FILE:
                    self._open[self._listed] = path, entry.size
                    self._listed += 1
        self._tell()
        packed = [entry.packed() for entry, _ in part]
        while packed:
            # Names and links may be long: a frame has its limit.
            size = 0
            for count, each in enumerate(packed):  # noqa: B007 - its last value is used
                size += len(each)
                if size > MAX_CONTENT:
                    break
            else:
                count = len(packed)
            self._writer.add(Kind.ENTRIES, *packed[:count])
            del packed[:count]
        if len(part) == BATCH:
            self._writer.flush()
            return True
        self._writer.add(Kind.LISTED)
        return False

    def _tell(self) -> None:
        while self._told:
            self._writer.add(Kind.PROBLEM, pack_problem(self._told.popleft()))

    # Content

    def _send_file(self, want: Want, path: bytes, listed_size: int) -> None:
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._refuse(want, path, f"cannot be read: {error.strerror}")
            return
        try:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode):
                self._refuse(want, path, "is no file any more")
                return
            self._send_content(want, path, file, before)
        finally:
            os.close(file)

    def _send_content(self, want: Want, path: bytes, file: int, before: os.stat_result) -> None:
        size = before.st_size
        offset = want.offset if want.offset and want.offset <= size and self._is_same(file, want) else 0
        head = Begin(want.number, offset, size, mtime_of(before), before.st_mode & PERMISSIONS)
        self._writer.add(Kind.BEGIN, head.packed())
        if self._dry_run:
            if offset < size or not want.offset:
                self._tally.foresee(shown(path), size - offset)
            self._writer.add(Kind.FINISH, bytes([ONLY_ASKED]))
            return
        try:
            whole = self._send_pieces(file, offset, size)
        except _UnreadableError as error:
            self._end_file(path, FAILED, f"cannot be read: {error}")
            return
        after = os.fstat(file)
        if not whole or (after.st_mtime_ns != before.st_mtime_ns and after.st_size <= size):
            self._end_file(path, CHANGED, "was changed while it was read: what the other side had of it is as it was")
        elif after.st_size > size:
            self._end_file(path, GREW, f"grew while it was read: its first {size:,} bytes were copied")
        else:
            self._writer.add(Kind.FINISH, _OK)

    def _send_pieces(self, file: int, offset: int, size: int) -> bool:
        """Send content, and give whether all of it was there."""
        left = size - offset
        if left <= SMALL and not offset:
            content = _reading(os.read, file, left) if left else b""
            if content:
                self._writer.add(Kind.PIECE, content)
                self._tally.travelled += len(content)
            return len(content) == left
        while left:
            count = _reading(os.preadv, file, [self._buffer[: min(left, MAX_CONTENT)]], size - left)
            if not count:
                return False
            self._writer.add(Kind.PIECE, self._buffer[:count])
            self._writer.flush()  # the buffer is needed again
            self._tally.travelled += count
            left -= count
        return True

    def _is_same(self, file: int, want: Want) -> bool:
        try:
            return digest_of(file, want.offset, self._buffer, self._tally.go_on) == want.digest
        except OSError:
            return False

    def _refuse(self, want: Want, path: bytes, why: str) -> None:
        self._writer.add(Kind.BEGIN, Begin(want.number, 0, 0, 0, 0).packed())
        self._end_file(path, FAILED, why)

    def _end_file(self, path: bytes, ending: int, why: str) -> None:
        self.report(Problem(shown(path), why, failed=ending != GREW))
        self._writer.add(Kind.FINISH, bytes([ending]))
        self._tell()

    # What the receiver says, heard by a thread of its own: it must never wait for what is being sent to it

    def _hear(self) -> None:
        try:
            while not self._summary:
                self._take(*self._reader.next())
        except (EOFError, OSError, SimmateRemoteError) as error:
            with self._news:
                self._end = error
                self._news.notify()

    def _take(self, kind: Kind, content: memoryview) -> None:
        match kind:
            case Kind.WANTS:
                self._take_wants(*unpack_wants(content))
            case Kind.PROBLEM:
                self._tally.add(unpack_problem(content))
            case Kind.SUMMARY:
                self._tally.learn(content)
                with self._news:
                    self._summary = True
                    self._news.notify()
            case Kind.FATAL:
                raise fatal(content)
            case _:
                raise ProtocolError(f"a receiver does not say {kind.name}")

    def _take_wants(self, through: int, wants: list[Want]) -> None:
        with self._news:
            numbers = {want.number for want in wants}
            answered = range(self._answered, through)
            if through > self._listed or not numbers <= set(answered) or len(numbers) != len(wants):
                raise ProtocolError("the receiver wants what was not listed, or wants it twice")
            self._answered = through
            for number in answered:
                if number not in numbers:
                    del self._open[number]
                    self._tally.unchanged += 1
            self._wants.extend(wants)
            self._tally.wanted_files += len(wants)
            self._tally.wanted_bytes += sum(self._open[want.number][1] - want.offset for want in wants)
            self._news.notify()


_OK = bytes([OK])


class _UnreadableError(Exception):
    """A file cannot be read; what goes wrong with the connection is something else."""


def _reading(read: Callable[..., T], *arguments: Any) -> T:
    try:
        return read(*arguments)
    except OSError as error:
        raise _UnreadableError(error.strerror or error) from error


def digest_of(file: int, size: int, buffer: memoryview, go_on: Callable[[], None]) -> bytes:
    """Give the SHA-256 of the first bytes of a file; of fewer, if it is shorter.

    Args:
        file: Its descriptor.
        size: How many bytes.
        buffer: Where to read them.
        go_on: Called between pieces: it may take minutes.
    """
    digest = hashlib.sha256()
    position = 0
    while position < size:
        go_on()
        count = os.preadv(file, [buffer[: size - position]], position)
        if not count:
            break
        digest.update(buffer[:count])
        position += count
    return digest.digest()


def fatal(content: memoryview) -> SimmateRemoteError:
    """Make the exception again for which the other end gave up."""
    try:
        return error_from_dict(read_json(content))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError("the other end gave up, and its reason cannot be read") from error
