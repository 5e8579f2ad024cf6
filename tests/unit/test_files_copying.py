"""What a transfer keeps of a tree, what it leaves alone, and what it says; both ends in this process."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote.errors import SourceError, TargetFolderError
from simmate_remote.files.host import sending
from simmate_remote.files.host.sources import Listed
from tests.transfers import copy, failures, snapshot

SECOND = 1_000_000_000
ODD = 1_600_000_001_123_456_789


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one of each kind that travels."""
    tree = tmp_path / "tree"
    (tree / "inner/empty").mkdir(parents=True)
    (tree / "text").write_text("silicon\n")
    (tree / "nothing").touch()
    (tree / "inner/program").write_text("#!/bin/sh\n")
    (tree / "inner/program").chmod(0o751)
    (tree / "inner/large").write_bytes(os.urandom(3_000_001))
    Path(os.fsdecode(os.fsencode(tree) + b"/na\xffme \n$x")).write_bytes(b"no UTF-8")
    (tree / "link").symlink_to("inner/program")
    (tree / "dangling").symlink_to("/no/where")
    (tree / "inner/out").symlink_to("../..")
    for number, path in enumerate(sorted(tree.rglob("*"))):
        os.utime(path, ns=(number, 1_600_000_000 * SECOND + number * 1_000_003), follow_symlinks=False)
    (tree / "inner").chmod(0o500)
    os.utime(tree, ns=(0, 1_500_000_000_123_456_789))
    return tree


def test_a_tree_arrives_as_it_is_and_a_second_time_nothing_travels(tree: Path, tmp_path: Path) -> None:
    first = copy(tree, to=tmp_path / "new/target")
    assert not first.receiver.problems
    assert snapshot(tmp_path / "new/target/tree") == snapshot(tree)
    assert (tmp_path / "new/target/tree").stat().st_mtime_ns == 1_500_000_000_123_456_789
    told = {"files": 5, "unchanged": 0, "links": 3, "folders": 3}
    assert {name: getattr(first.sender, name) for name in told} == told
    assert first.sender.travelled == first.receiver.travelled == 3_000_001 + 8 + 10 + 8
    second = copy(tree, to=tmp_path / "new/target")
    told = {"files": 0, "unchanged": 5, "links": 0, "folders": 0, "travelled": 0}
    assert {name: getattr(second.sender, name) for name in told} == told
    assert snapshot(tmp_path / "new/target/tree") == snapshot(tree)


def test_what_has_changed_is_copied_and_what_is_there_besides_stays(tree: Path, tmp_path: Path) -> None:
    copy(tree, to=tmp_path / "target")
    target = tmp_path / "target/tree"
    (target / "own").write_text("mine")
    (target / "link").unlink()
    (target / "link").symlink_to("elsewhere")
    (tree / "text").write_text("germanium\n")
    (tree / "nothing").chmod(0o640)
    again = copy(tree, to=tmp_path / "target")
    assert (again.sender.files, again.sender.unchanged, again.sender.links) == (1, 4, 1)
    assert (target / "own").read_text() == "mine"
    (target / "own").unlink()
    os.utime(target, ns=(0, tree.stat().st_mtime_ns))
    assert snapshot(target) == snapshot(tree)


def test_content_is_compared_when_it_is_wished(tree: Path, tmp_path: Path) -> None:
    copy(tree, to=tmp_path / "target")
    text = tmp_path / "target/tree/text"
    before = text.stat().st_mtime_ns
    text.write_text("Silicon\n")
    os.utime(text, ns=(0, before))
    os.utime(tmp_path / "target/tree/inner/large", ns=(0, 0))
    assert copy(tree, to=tmp_path / "target", dry_run=True).sender.would == [(f"{tree}/inner/large", 3_000_001)]
    only_asked = copy(tree, to=tmp_path / "target", checksum=True, dry_run=True)
    assert only_asked.sender.would == [(f"{tree}/text", 8)]
    checked = copy(tree, to=tmp_path / "target", checksum=True)
    assert (checked.sender.files, checked.sender.unchanged, checked.sender.travelled) == (1, 4, 8)
    assert snapshot(tmp_path / "target/tree") == snapshot(tree)


def test_a_dry_run_says_what_would_travel_and_writes_nothing(tree: Path, tmp_path: Path) -> None:
    asked = copy(tree, to=tmp_path / "target", dry_run=True)
    assert not (tmp_path / "target").exists()
    done = copy(tree, to=tmp_path / "target")
    for name in ("files", "travelled", "links", "folders"):
        assert getattr(asked.sender, name) == getattr(done.sender, name)
    assert sorted(size for _, size in asked.receiver.would) == [0, 8, 8, 10, 3_000_001]
    before = snapshot(tmp_path / "target")
    (tree / "text").write_text("germanium\n")
    assert copy(tree, to=tmp_path / "target", dry_run=True).sender.would == [(f"{tree}/text", 10)]
    assert snapshot(tmp_path / "target") == before


def test_names_on_the_command_line(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(f"{tree}/", f"{tree}/inner/large", to=tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["large", "tree"]
    copy(f"{tree}/.", to=tmp_path / "two")
    assert snapshot(tmp_path / "two") == snapshot(tree)
    copy(f"{tree}/inner/*e", f"{tree}/link", to=tmp_path / "three", expand=True)
    assert sorted(path.name for path in (tmp_path / "three").iterdir()) == ["large", "link"]
    monkeypatch.chdir(tree / "inner")
    copy("..", to=tmp_path / "four")
    assert snapshot(tmp_path / "four") == snapshot(tree)
    (tmp_path / "way").symlink_to(tree)
    copy(tmp_path / "way", to=tmp_path / "five")
    assert (tmp_path / "five/way").is_symlink()
    copy(f"{tmp_path}/way/", to=tmp_path / "six")
    assert snapshot(tmp_path / "six/way") == snapshot(tree)


def test_names_that_cannot_be_meant(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing of this is there"):
        copy(tmp_path / "missing", to=tmp_path / "target")
    with pytest.raises(SourceError, match="would both become text"):
        copy(tree / "text", f"{tree}/inner/../text", to=tmp_path / "target")
    (tmp_path / "file").touch()
    with pytest.raises(TargetFolderError, match="file cannot be used"):
        copy(tree, to=tmp_path / "file")
    some = copy(tree / "text", tmp_path / "missing", to=tmp_path / "target")
    assert [problem.what for problem in failures(some)] == ["no such file or folder"]
    assert some.sender.files == 1


def test_what_is_no_file_is_named_and_left_out(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "sock"))
    copied = copy(tree, to=tmp_path / "target")
    assert sorted(problem.what for problem in copied.sender.problems) == [
        "a named pipe is not copied",
        "a socket is not copied",
    ]
    assert not failures(copied)
    assert copied.sender.files == 5


def test_one_file_that_cannot_be_read_stops_no_other(tree: Path, tmp_path: Path) -> None:
    def vanish(listing: Iterator[Listed]) -> Iterator[Listed]:
        for listed in listing:
            if listed.entry.name == b"text":
                os.unlink(listed.path)
            yield listed

    copied = copy(tree, to=tmp_path / "target", listing=vanish)
    assert [problem.path for problem in failures(copied)] == [f"{tree}/text"]
    assert (copied.sender.files, copied.sender.failed) == (4, 1)
    assert not (tmp_path / "target/tree/text").exists()


def test_things_in_the_way_are_not_replaced_unless_both_are_files(tree: Path, tmp_path: Path) -> None:
    target, outside = tmp_path / "target/tree", tmp_path / "outside"
    outside.mkdir()
    (target / "text").mkdir(parents=True)
    (target / "link").mkdir()
    (target / "inner").symlink_to(outside)
    (target / "nothing").symlink_to(outside / "made")
    copied = copy(tree, to=tmp_path / "target")
    assert {problem.path.rpartition("/")[2]: problem.what for problem in failures(copied)} == {
        "text": "is a folder at the target, and a file at its origin",
        "link": "is a folder at the target, and a link at its origin",
        "inner": "is a link, which is not followed, at the target: nothing below it was copied",
    }
    assert not list(outside.iterdir())
    assert not (target / "nothing").is_symlink()
    (target / "nothing").unlink()
    (target / "nothing").mkdir()
    (tree / "inner").chmod(0o700)


def test_a_list_longer_than_the_window_is_worked_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "WINDOW", 8)
    monkeypatch.setattr(sending, "BATCH", 3)
    for number in range(100):
        path = tmp_path / f"many/{number % 7}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number) * 1000)
    assert copy(tmp_path / "many", to=tmp_path / "target").sender.files == 100
    assert snapshot(tmp_path / "target/many") == snapshot(tmp_path / "many")
    assert copy(tmp_path / "many", to=tmp_path / "target").sender.unchanged == 100


@pytest.mark.parametrize("unit", [1, 100, 1_000, 10_000_000, SECOND])
def test_a_file_system_with_coarse_times_is_understood(unit: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    os.utime(tmp_path / "file", ns=(0, ODD))
    copy(tmp_path / "file", to=tmp_path / "target")
    os.utime(tmp_path / "target/file", ns=(0, ODD // unit * unit))
    assert copy(tmp_path / "file", to=tmp_path / "target").sender.unchanged == 1
    os.utime(tmp_path / "target/file", ns=(0, (ODD // unit - 1) * unit))
    assert copy(tmp_path / "file", to=tmp_path / "target").sender.files == 1


def test_times_that_only_some_file_systems_know(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "late").touch()
    (source / "link").symlink_to("late")
    year_2400 = 13_569_465_600
    for path in (source / "late", source / "link", source):
        os.utime(path, (year_2400, year_2400), follow_symlinks=False)
    assert os.stat(source).st_mtime == year_2400
    assert not failures(copy(source, to=target))
    assert copy(source, to=target).receiver.unchanged == 1


def test_folders_in_folders_may_be_many(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 200
    made, target = tmp_path / "made", tmp_path / "target"
    for place in (made, target):
        place.mkdir()
    way = os.open(made, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=way)
        below = os.open("d", os.O_RDONLY, dir_fd=way)
        os.close(way)
        way = below
    os.close(way)
    try:
        copied = copy(f"{made}/.", to=target)
        assert not failures(copied)
        assert copied.receiver.folders == depth
    finally:
        # shutil's own way to remove a tree goes no deeper than calls may be nested.
        subprocess.run(["rm", "-r", str(made), str(target)], check=True)


def test_a_link_that_cannot_have_its_name_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "link").symlink_to("nowhere")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "rename", refuse)
    assert [problem.what for problem in failures(copy(source, to=target))] == [
        "cannot be written: Operation not permitted"
    ]
    assert list((target / "source").iterdir()) == []
