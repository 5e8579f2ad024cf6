"""A sender that is hostile, or careless: whatever it says, nothing outside of the target is touched."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import ProtocolError, SimmateRemoteError
from simmate_remote.files.host.entries import (
    FILE,
    FOLDER,
    LINK,
    OK,
    Begin,
    Entry,
    Want,
    pack_wants,
    unpack_entries,
    unpack_wants,
)
from simmate_remote.files.host.frames import BUFFER, HEADER, MAX_CONTENT, Bytes, FrameReader, FrameWriter, Kind
from simmate_remote.files.host.order import Order, Tally, unpack_problem
from simmate_remote.files.host.program import read_order, write_order
from simmate_remote.files.host.receiving import Receiver
from simmate_remote.files.host.sending import Sender
from simmate_remote.files.host.target import Tree
from tests.transfers import snapshot

names = st.one_of(
    st.sampled_from([b"a", b"b", b"up", b"..", b".", b"", b"/etc", b"a/b", b"../x", b"a\0b", b"\xff", b"x" * 300]),
    st.binary(max_size=8),
)
links = st.sampled_from([b"..", b"../outside", b"/", b".", b"a", b"../outside/kept", b""])
entries = st.builds(
    Entry,
    kind=st.sampled_from([FILE, FOLDER, FOLDER, LINK, LINK, 7]),
    mode=st.sampled_from([0o644, 0o755, 0o4777, 0]),
    parent=st.integers(0, 6),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    size=st.just(3),
    name=names,
    link=links,
)


def reader_of(content: bytes, cuts: Iterable[int] = ()) -> FrameReader:
    """Give a reader of bytes, which arrive in pieces of the given sizes and then at once."""
    left, sizes = memoryview(content), iter(cuts)

    def readinto(view: memoryview) -> int:
        nonlocal left
        size = min(next(sizes, len(left)), len(left), len(view))
        view[:size] = left[:size]
        left = left[size:]
        return size

    return FrameReader(readinto)


def frame(kind: int, content: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(content)) + content


def script(said: list[Entry]) -> bytes:
    """Let a sender list things, one by one, and send each file at once, wanted or not."""
    parts, files = [], 0
    for entry in said:
        sound = entry._replace(link=entry.link or b"x") if entry.kind == LINK else entry._replace(link=b"")
        parts.append(frame(Kind.ENTRIES, sound.packed()))
        if entry.kind == FILE:
            parts.append(frame(Kind.BEGIN, Begin(files, 0, 3, entry.mtime_ns, entry.mode & 0o777).packed()))
            parts += [frame(Kind.PIECE, b"new"), frame(Kind.FINISH, bytes([OK]))]
            files += 1
    return b"".join([*parts, frame(Kind.LISTED), frame(Kind.DONE)])


def receive(content: bytes, target: Path) -> None:
    tree = Tree(os.fsencode(target), dry_run=False)
    Receiver(reader_of(content), FrameWriter(_swallow), Tally(), tree, dry_run=False, checksum=False).run()


def _swallow(pieces: list[Bytes]) -> int:
    return sum(map(len, pieces))


@given(st.lists(entries, max_size=12))
def test_nothing_outside_of_the_target_is_touched(said: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target, outside = Path(folder, "target"), Path(folder, "outside")
        (outside / "kept").mkdir(parents=True)
        (outside / "kept/file").write_text("as it was")
        target.mkdir()
        (target / "up").symlink_to(outside)
        before = snapshot(outside), outside.stat().st_mtime_ns, outside.stat().st_mode
        with contextlib.suppress(SimmateRemoteError):
            receive(script(said), target)
        assert (snapshot(outside), outside.stat().st_mtime_ns, outside.stat().st_mode) == before
        assert sorted(os.listdir(folder)) == ["outside", "target"]
        assert all(not path.stat().st_mode & 0o7000 for path in target.rglob("*") if not path.is_symlink())


def test_a_link_that_was_just_made_is_no_way_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    said = [
        Entry(LINK, 0, 0, 0, 0, b"a", os.fsencode(outside)),
        Entry(FOLDER, 0o755, 0, 0, 0, b"a", b""),
        Entry(FOLDER, 0o755, 1, 0, 0, b"b", b""),
    ]
    parts = [frame(Kind.ENTRIES, b"".join(entry.packed() for entry in said)), frame(Kind.LISTED), frame(Kind.DONE)]
    receive(b"".join(parts), tmp_path / "target")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", [b"..", b".", b"", b"/", b"a/b", b"a\0", b"x" * 2000])
def test_names_that_no_file_can_have_end_the_transfer(name: bytes, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError):
        receive(script([Entry(FILE, 0o644, 0, 0, 3, name, b"")]), tmp_path / "target")
    assert not list((tmp_path / "target").iterdir())


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=60)), max_size=8))
def test_a_sender_that_says_anything_is_answered_with_an_error_of_ours(said: list[tuple[Kind, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(SimmateRemoteError, EOFError):
        receive(b"".join(frame(kind, content) for kind, content in said), Path(folder, "target"))


words = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=60) | words), max_size=8))
def test_a_receiver_that_says_anything_is_answered_with_an_error_of_ours(said: list[tuple[Kind, bytes]]) -> None:
    reader = reader_of(b"".join(frame(kind, content) for kind, content in said))
    with contextlib.suppress(SimmateRemoteError, EOFError):
        Sender(reader, FrameWriter(_swallow), Tally(), dry_run=False).run(iter(()))


@given(
    st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=400)), max_size=30),
    st.lists(st.integers(1, 500), max_size=60),
    st.lists(st.integers(1, 900), max_size=60),
)
def test_frames_come_out_as_they_went_in(
    said: list[tuple[Kind, bytes]], written: list[int], arriving: list[int]
) -> None:
    wire, taken = bytearray(), iter(written)

    def writev(pieces: list[Bytes]) -> int:
        content = b"".join(pieces)[: next(taken, None)]
        wire.extend(content)
        return len(content)

    writer = FrameWriter(writev)
    for kind, content in said:
        writer.add(kind, content[:7], memoryview(content)[7:])
    writer.flush()
    reader = reader_of(bytes(wire), arriving)
    assert [(kind, bytes(content)) for kind, content in (reader.next() for _ in said)] == said
    with pytest.raises(EOFError):
        reader.next()


def test_frames_that_fill_the_buffer_come_out_whole() -> None:
    content = [os.urandom(MAX_CONTENT - number) for number in range(7)]
    reader = reader_of(b"".join(frame(Kind.PIECE, each) for each in content), [BUFFER, 1, BUFFER - 7])
    assert [bytes(reader.next()[1]) for _ in content] == content


@pytest.mark.parametrize("head", [HEADER.pack(0, 1), HEADER.pack(Kind.PIECE, MAX_CONTENT + 1), b"\xff" * HEADER.size])
def test_what_is_no_frame_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        reader_of(head + b"x" * 10).next()


@given(st.lists(st.builds(Want, st.integers(0, 2**63), st.integers(0, 2**63), st.binary(min_size=32, max_size=32))))
def test_wants_come_out_as_they_went_in(wants: list[Want]) -> None:
    assert unpack_wants(memoryview(pack_wants(5, wants))) == (5, wants)


@given(st.binary(max_size=100))
def test_what_cannot_be_read_is_a_breach(content: bytes) -> None:
    readers = (unpack_wants, Order.unpacked, unpack_problem, Begin.unpacked, lambda view: list(unpack_entries(view)))
    for read in readers:
        with contextlib.suppress(ProtocolError):
            read(memoryview(content))


def test_an_order_comes_out_as_it_went_in() -> None:
    order = Order("pull", (os.fsdecode(b"na\xffme"), "ä b"), "~/x", True, True)
    assert Order.unpacked(memoryview(order.packed())) == order


@pytest.mark.parametrize("direction", ["push", "pull"])
@pytest.mark.parametrize("size", [10, MAX_CONTENT - 200, 3 * MAX_CONTENT])
def test_an_order_may_name_more_than_a_frame_can_hold(direction: Literal["push", "pull"], size: int) -> None:
    order = Order(direction, ("x",) * (size // len('"x", ')), "~")
    # To the byte: what just fills a frame is gone on with by an empty one.
    padding = "y" * (-len(order.packed()) % MAX_CONTENT)
    order = order._replace(to="~" + padding) if size > 10 else order
    written = bytearray()

    def writev(pieces: list[Bytes]) -> int:
        written.extend(b"".join(pieces))
        return sum(map(len, pieces))

    write_order(order, FrameWriter(writev))
    # Who sends knows what by itself.
    assert read_order(reader_of(bytes(written))) == (order if direction == "pull" else order._replace(paths=()))


def test_what_comes_before_an_order_is_a_breach() -> None:
    with pytest.raises(ProtocolError, match="begins with an order"):
        read_order(reader_of(frame(Kind.LISTED)))
