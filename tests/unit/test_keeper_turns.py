"""Two logins at once start one keeper: one has its turn after the other, and none waits for ever."""

from __future__ import annotations

import errno
import fcntl
import threading
from pathlib import Path

import pytest

from simmate_remote.keeper.host import attach


def test_the_second_has_its_turn_when_the_first_is_done(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with attach.one_at_a_time(tmp_path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with attach.one_at_a_time(tmp_path):
        waiting.start()
        waiting.join(0.1)
        order.append("first")
    waiting.join(20)
    assert order == ["first", "second"]


def test_who_waits_for_too_long_is_told_what_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "TURN_TIMEOUT", 0.05)
    with (
        attach.one_at_a_time(tmp_path),
        pytest.raises(RuntimeError, match=rf"another login has been at it here .*{tmp_path}/keepers/.*\.lock"),
        attach.one_at_a_time(tmp_path),
    ):
        pytest.fail("both had their turn at once")


def test_where_nothing_can_be_locked_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with attach.one_at_a_time(tmp_path), attach.one_at_a_time(tmp_path):
        pass
