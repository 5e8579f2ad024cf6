"""What a person sees of a transfer."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from simmate_remote.cli import files_progress
from simmate_remote.cli.files_progress import FilesProgress, size_in_words
from simmate_remote.files.host.order import Tally


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (1.23e9, "1.23 GB"),
     (5e15, "5e+03 TB")],
)  # fmt: skip
def test_sizes(size: float, words: str) -> None:
    assert size_in_words(int(size)) == words


@pytest.fixture
def tally() -> Tally:
    tally = Tally()
    tally.wanted_files, tally.wanted_bytes, tally.travelled = 1234, 5_000_000, 2_500_000
    return tally


def test_without_a_terminal_there_is_a_line_now_and_then(
    tally: Tally, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[bool] = []
    with FilesProgress(lambda: begun.append(True)) as progress:
        progress(tally)
        assert not capsys.readouterr().err
        monkeypatch.setattr(files_progress, "PAUSE", -1)
        progress(tally)
    assert capsys.readouterr().err == "2.5 MB of 5 MB in 1,234 files\n"
    assert begun == [True]


def test_in_a_terminal_there_is_a_bar(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(files_progress, "err", Console(file=screen, force_terminal=True, width=120))
    with FilesProgress(lambda: None) as progress:
        progress(tally)
        progress(tally)
    assert "1,234 files" in screen.getvalue()
    assert "2.5/5.0 MB" in screen.getvalue()
