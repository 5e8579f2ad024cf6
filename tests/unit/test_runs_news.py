"""What became of runs is told once, and nothing is left out that the rows get to know of only later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.database.plain import Plain
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.news import take_news
from simmate_remote.runs.shown import note_shown, shown
from tests.unit.run_rows import database_kinds, made

NOON = 1_800_000_000.0


@pytest.fixture(params=database_kinds())
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plain]:
    """Give each kind of database, with our tables and nothing in them."""
    with made(request.param, tmp_path) as plain:
        yield plain


class Told:
    """What one host's journal tells, a run each time.

    Args:
        plain: The database.
        host: What the user calls the host.
        skew: Seconds that its clock is ahead.
    """

    def __init__(self, plain: Plain, host: str, skew: float = 0.0) -> None:
        self._collector = Collector(plain, Source(f"journal of {host}", host, f"{host}.uni", "/runs", skew))
        self._host = host
        self._runs = 0

    def __call__(self, event: str, at: float) -> None:
        """Collect that a run has begun and come to this, at a time by the host's clock."""
        self._runs += 1
        run: dict[str, Any] = {"run": f"{self._host} {self._runs}", "time": at - 60}
        position = self._collector.begin()
        lines = [
            {**run, "event": "created", "workflow": "w", "folder": "/f"},
            {**run, "event": "started", "attempt": 1},
            {**run, "event": event, "attempt": 1, "time": at, "reason": "its worker died"},
        ]
        self._collector.take(position, position + 1, lines)


def ended(news: dict[str, Any]) -> dict[str, int]:
    """Give how many have come to each end, if there is anything to tell."""
    return dict(news["counts"]) if news["since"] is not None else {}


def test_what_ended_while_its_host_was_away_is_told_although_another_host_was_told_of_since(plain: Plain) -> None:
    near, far = Told(plain, "near"), Told(plain, "far")
    near("finished", NOON - 600)
    far("finished", NOON - 900)
    assert ended(take_news(plain, NOON + 300)) == {"finished": 2}
    near("finished", NOON + 60)
    assert ended(take_news(plain, NOON + 300)) == {"finished": 1}
    far("failed", NOON)
    news = take_news(plain, NOON + 600, "far")
    assert ended(news) == {"failed": 1}
    assert news["since"] == NOON - 60
    assert ended(take_news(plain, NOON + 600)) == {}


def test_what_ended_before_the_last_look_and_was_collected_after_it_is_told(plain: Plain) -> None:
    tell = Told(plain, "far")
    tell("interrupted", NOON - 900)
    assert take_news(plain, NOON + 300)["interrupted"] == 1
    tell("interrupted", NOON - 5)
    tell("failed", NOON)
    news = take_news(plain, NOON + 600)
    assert (ended(news), news["interrupted"]) == ({"failed": 1, "interrupted": 2}, 1)
    assert take_news(plain, NOON + 600)["since"] is None


@pytest.mark.parametrize("skew", [-1.9, 1.9])
def test_clocks_that_nearly_agree_neither_hide_nor_repeat_anything(plain: Plain, skew: float) -> None:
    tell = Told(plain, "far", skew)
    for second in range(4):
        tell("failed", NOON + second + skew)
        assert ended(take_news(plain, NOON + second)) == {"failed": 1}
        assert ended(take_news(plain, NOON + second)) == {}


def test_an_end_that_a_wrong_clock_put_into_the_future_does_not_hide_the_next_one(plain: Plain) -> None:
    tell = Told(plain, "far")
    tell("finished", NOON + 3600)
    assert ended(take_news(plain, NOON)) == {"finished": 1}
    tell("failed", NOON + 600)
    assert take_news(plain, NOON + 660)["counts"]["failed"] == 1


def test_what_a_command_has_shown_is_no_news_and_what_came_beside_it_is(plain: Plain) -> None:
    tell = Told(plain, "far")
    note_shown(["far 1", "", "far 4"])
    tell("finished", NOON)
    assert take_news(plain, NOON + 60)["since"] is None
    assert shown() == ["far 4"]  # the first is behind us, whatever is told
    tell("failed", NOON + 100)
    tell("finished", NOON + 200)
    tell("failed", NOON + 300)
    news = take_news(plain, NOON + 400)
    assert ended(news) == {"failed": 1, "finished": 1}
    assert [each["id"] for each in news["failures"]] == ["far 2"]
    assert shown() == []
    assert take_news(plain, NOON + 400)["since"] is None


def test_so_many_are_kept_and_no_more(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simmate_remote.runs.shown.KEPT", 3)
    note_shown(f"far-{number}" for number in range(5))
    assert shown() == ["far-2", "far-3", "far-4"]


def test_a_folder_that_cannot_be_written_does_not_keep_the_news(
    plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    note_shown(["far 1"])
    Told(plain, "far")("finished", NOON)
    assert ended(take_news(plain, NOON + 60)) == {"finished": 1}
