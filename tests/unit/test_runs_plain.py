"""What a run leaves in its line of the journal: its result as plain data, and what it has printed."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.lines import PLAIN, plain
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore
from simmate_remote.runs.identity import new_id
from simmate_remote.workflows import durable
from simmate_remote.workflows.current import running


@pytest.mark.parametrize(
    ("result", "data"),
    [
        ({"energy": -1.5, "steps": [1, None, True]}, {"energy": -1.5, "steps": [1, None, True]}),
        ((1, 2), [1, 2]),
        ("x" * (PLAIN - 2), "x" * (PLAIN - 2)),
        ("x" * (PLAIN - 1), None),
        ([0.5] * (PLAIN // 5), [0.5] * (PLAIN // 5)),
        ([0.5] * (PLAIN // 5 + 1), None),
        (float("nan"), None),
        ({"a": {1, 2}}, None),
    ],
)
def test_what_is_small_and_plain_is_kept_as_such(result: Any, data: Any) -> None:
    assert plain(result) == data


def test_of_a_large_result_no_more_is_written_out_than_shows_that(monkeypatch: pytest.MonkeyPatch) -> None:
    large = list(range(1_000_000))
    tracemalloc.start()
    try:
        assert plain(large) is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("length", "asked"), [(10, True), (1_000_000, False)])
def test_a_long_text_that_a_run_gives_is_not_written_out_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, asked: bool
) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(durable, "plain", looked.append)
    monkeypatch.setattr(durable, "perform", lambda *_: "x" * length)
    payload = {"module": "m", "attribute": "f", "parameters": "", "digest": "", "names": []}
    (folder,) = RunStore(tmp_path).create([Spec(new_id(), "relax", payload=payload)])
    assert durable.execute(folder, folder.spec()).state == "finished"
    assert bool(looked) is asked


def test_what_is_printed_by_lines_is_kept_like_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    # The listener stays in the process; this one's is taken away with the test.
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with running("run", folder) as one:
        sys.stdout.writelines(["one\n", "two\n"])
        sys.stderr.writelines(iter(["three\n"]))
        assert one.printed() == "one\ntwo\nthree\n"
    assert folder.output.read_text() == "one\ntwo\nthree\n"
    assert tuple(capsys.readouterr()) == ("one\ntwo\n", "three\n")
