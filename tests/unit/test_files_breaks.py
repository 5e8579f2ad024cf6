"""Transfers that break, files that change under them, disks that fill: nothing half done has a file's name."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from simmate_remote.errors import NoSpaceError, TargetFolderError
from simmate_remote.files.host import partial
from simmate_remote.files.host.entries import is_partial
from simmate_remote.files.host.frames import Bytes
from tests.transfers import copy, failures, snapshot

SIZE = 5_000_000
CUT = 2_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "origin/file"
    path.parent.mkdir()
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def after(size: int, action: Callable[[socket.socket], object]) -> Callable[[socket.socket, list[Bytes]], int]:
    """Give a ``writev`` that does something once, when so many bytes have been sent."""
    sent = 0

    def writev(sock: socket.socket, pieces: list[Bytes]) -> int:
        nonlocal sent
        if sent < size <= (sent := sent + sum(map(len, pieces))):
            action(sock)
        return sock.sendmsg(pieces)

    return writev


def break_off(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def cut(file: Path, target: Path) -> None:
    """Copy a part of a file."""
    with pytest.raises(EOFError):
        copy(file, to=target, writev=after(CUT, break_off))


def parts(target: Path) -> list[Path]:
    return [path for path in target.iterdir() if is_partial(os.fsencode(path.name))]


def test_what_was_begun_is_gone_on_with(file: Path, target: Path) -> None:
    target.mkdir()
    (target / "file").write_bytes(b"the one before")
    cut(file, target)
    assert (target / "file").read_bytes() == b"the one before"
    (part,) = parts(target)
    had = part.stat().st_size
    assert 0 < had < CUT
    assert part.stat().st_mode & 0o777 == 0o600
    asked = copy(file, to=target, dry_run=True)
    assert asked.sender.travelled == SIZE - had
    copied = copy(file, to=target)
    assert copied.sender.travelled == SIZE - had
    assert not parts(target)
    assert snapshot(target) == snapshot(file.parent)


def test_what_was_begun_with_other_content_is_begun_anew(file: Path, target: Path) -> None:
    cut(file, target)
    file.write_bytes(os.urandom(SIZE))
    assert copy(file, to=target).sender.travelled == SIZE
    assert snapshot(target) == snapshot(file.parent)
    assert not parts(target)


def test_a_file_that_grew_gets_what_is_new(file: Path, target: Path) -> None:
    copy(file, to=target)
    with file.open("ab") as more:
        more.write(b"one more line\n")
    with (target / "file").open("rb") as reader:
        assert copy(file, to=target).sender.travelled == 14
        assert len(reader.read()) == SIZE  # who has it open keeps what was there
    assert snapshot(target) == snapshot(file.parent)


def test_a_disk_that_takes_a_part_of_what_is_written(file: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(file, to=target)
    with file.open("ab") as more:
        more.write(b"one more line\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[: len(content) // 2 + 1]))
    assert copy(file, to=target).sender.travelled == 14
    assert snapshot(target) == snapshot(file.parent)


def test_a_writer_that_still_lives_is_left_to_itself(file: Path, target: Path) -> None:
    cut(file, target)
    (part,) = parts(target)
    with part.open("rb") as living:
        before = living.read()
        fcntl.flock(living, fcntl.LOCK_EX)
        assert copy(file, to=target).sender.travelled == SIZE - len(before)
        living.seek(0)
        assert living.read() == before
    assert snapshot(target) == snapshot(file.parent)


def test_of_two_writers_the_later_one_wins(file: Path, target: Path) -> None:
    copied = copy(file, to=target, writev=after(CUT, lambda _: copy(file, to=target)))
    assert [problem.what for problem in failures(copied)] == ["another transfer is writing it: this one let it"]
    assert snapshot(target) == snapshot(file.parent)


def test_a_planted_partial_is_not_trusted(file: Path, target: Path, tmp_path: Path) -> None:
    cut(file, target)
    (part,) = parts(target)
    victim = tmp_path / "victim"
    for plant in (os.link, os.symlink):
        victim.write_bytes(part.read_bytes() if part.exists() else b"0" * 300_000)
        before = victim.read_bytes()
        part.unlink(missing_ok=True)
        plant(victim, part)
        assert copy(file, to=target).sender.travelled == SIZE
        assert victim.read_bytes() == before
        (target / "file").unlink()


def test_a_file_that_is_rewritten_meanwhile_leaves_the_one_before(file: Path, target: Path) -> None:
    target.mkdir()
    (target / "file").write_bytes(b"the one before")
    copied = copy(file, to=target, writev=after(CUT, lambda _: file.write_bytes(os.urandom(SIZE))))
    assert ["was changed while it was read" in problem.what for problem in failures(copied)] == [True]
    assert (target / "file").read_bytes() == b"the one before"
    assert copy(file, to=target).sender.files == 1
    assert snapshot(target) == snapshot(file.parent)


def test_a_file_that_is_cut_meanwhile_is_noticed(file: Path, target: Path) -> None:
    copied = copy(file, to=target, writev=after(CUT, lambda _: os.truncate(file, CUT // 2)))
    assert len(failures(copied)) == 1
    assert not (target / "file").exists()


def test_a_file_that_grows_meanwhile_arrives_as_it_was(file: Path, target: Path) -> None:
    before = file.read_bytes()
    copied = copy(file, to=target, writev=after(CUT, lambda _: file.write_bytes(before + b"more")))
    assert [problem.what for problem in copied.receiver.problems] == [
        "grew while it was read: its first 5,000,000 bytes were copied"
    ]
    assert not failures(copied)
    assert (target / "file").read_bytes() == before
    assert copy(file, to=target).sender.travelled == 4
    assert snapshot(target) == snapshot(file.parent)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_is_complete(
    number: int, file: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = os.write, 0

    def fill_up(descriptor: int, content: Bytes) -> int:
        nonlocal written
        written += len(content)
        if written > CUT:
            raise OSError(number, os.strerror(number))
        return write(descriptor, content)

    (file.parent / "first").write_text("small")
    monkeypatch.setattr(partial.os, "write", fill_up)
    with pytest.raises(NoSpaceError, match=r"no space is left for .*/file: .*\n.*1 files are complete, and stay"):
        copy(file.parent / "first", file, to=target)
    monkeypatch.undo()
    assert (target / "first").read_text() == "small"
    assert copy(file.parent / "first", file, to=target).sender.travelled < SIZE
    assert snapshot(target) == snapshot(file.parent)


def test_what_cannot_be_written_is_told_and_a_read_only_disk_ends_it(
    file: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "other").write_text("other")
    make = partial.make_file

    def refuse(name: bytes, folder: int) -> int:
        if number == errno.EACCES and refused:
            return make(name, folder)
        refused.append(name)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(partial, "make_file", refuse)
    number, refused = errno.EACCES, list[bytes]()
    copied = copy(file.parent / "other", file, to=target)
    assert [problem.what for problem in failures(copied)] == ["cannot be written: Permission denied"]
    assert copied.sender.files == 1
    number = errno.EROFS
    with pytest.raises(TargetFolderError, match="Read-only file system"):
        copy(file.parent / "other", file, to=target)


def test_a_sender_never_lists_what_is_not_complete(file: Path, target: Path, tmp_path: Path) -> None:
    cut(file, target)
    assert copy(target, to=tmp_path / "further").sender.files == 0
