"""The journal: whatever a reader's pace and wherever a writer died, each event is read once, and in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simmate_remote.errors import RunDamagedError
from simmate_remote.runs.host import journal
from simmate_remote.runs.host.journal import Journal, JournalWriter

EVENTS = st.lists(
    st.builds(
        lambda run, text: {"time": 1.0, "run": run, "event": "progress", "text": text},
        st.text(min_size=1, max_size=5),
        st.text(max_size=60),
    ),
    max_size=12,
)


def event(number: int) -> dict[str, Any]:
    return {"time": float(number), "run": f"run-{number}", "event": "created"}


@settings(max_examples=40)  # each waits for the disk
@given(batches=st.lists(EVENTS, max_size=4), part=st.integers(1, 300))
def test_a_reader_that_keeps_its_offset_reads_each_event_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[dict[str, Any]]], part: int
) -> None:
    path = tmp_path_factory.mktemp("runs") / "journal"
    read: list[dict[str, Any]] = []
    offset = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "PART", part)
        for batch in batches:
            writer = JournalWriter(path)  # another process each time
            writer.append(batch)
            writer.close()
            while (some := Journal(path).read(offset)).offset != offset:
                read += some.lines
                offset = some.offset
    assert read == [each for batch in batches for each in batch]


@settings(max_examples=40)  # each waits for the disk
@given(cut=st.integers(0, 400))
def test_what_a_dead_writer_had_begun_is_taken_back(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("runs") / "journal"
    writer = JournalWriter(path)
    writer.append(event(number) for number in range(5))
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    name, before = Journal(path).name(), list(Journal(path).events())
    writer = JournalWriter(path)
    writer.append([event(9)])
    writer.close()
    assert list(Journal(path).events()) == [*before, event(9)]
    assert before == [event(number) for number in range(len(before))]
    assert len(before) >= 5 - (cut + 48) // 49
    assert name in (None, Journal(path).name())


def test_a_reader_never_sees_a_part_of_a_line(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal")
    writer.append([event(1)])
    half = json.dumps(event(2))[:20]
    with (tmp_path / "journal").open("a") as file:
        file.write(half)
    assert list(Journal(tmp_path / "journal").events()) == [event(1)]
    with (tmp_path / "journal").open("a") as file:
        file.write(json.dumps(event(2))[20:] + "\n")
    assert list(Journal(tmp_path / "journal").events()) == [event(1), event(2)]
    writer.close()


@pytest.mark.parametrize(
    "damage", [b"\0" * 100, b"not JSON", b'{"neither": "a run"}', b"[1]", b'"text"', b"[" * 100_000]
)
def test_lines_that_cannot_be_read_hide_no_others(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal"
    writer = JournalWriter(path)
    writer.append([event(1)])
    with path.open("ab") as file:
        file.write(damage + b"\n")
    writer.append([event(2)])
    writer.close()
    assert list(Journal(path).events()) == [event(1), event(2)]


def test_a_line_without_an_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PART", 1000)
    monkeypatch.setattr(journal, "LONGEST", 8000)
    path = tmp_path / "journal"
    writer = JournalWriter(path)
    with path.open("ab") as file:
        file.write(b"x" * 50_000 + b"\n")
    writer.append([event(2)])
    writer.close()
    assert list(Journal(path).events()) == [event(2)]


def test_a_journal_of_a_later_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"journal": "abc", "version": 2}\n')
    with pytest.raises(RunDamagedError, match="another version"):
        JournalWriter(path)
    assert path.read_text() == '{"journal": "abc", "version": 2}\n'


def test_a_file_that_is_no_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("something else\n")
    JournalWriter(path).close()
    assert Journal(path).name()
    assert [each.read_text() for each in tmp_path.glob("journal.unreadable-*")] == ["something else\n"]


def test_there_need_not_be_a_journal(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal").name() is None
    assert Journal(tmp_path / "journal").read(0) == (0, [])
    assert Journal(tmp_path / "journal").read(500) == (500, [])
