"""How often a lost host is tried: the rates that docs/outages.md states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import (
    AnswerNeededError,
    AuthenticationError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    ForbiddenByServerError,
    HostKeyChangedError,
    KeeperError,
    NameNotResolvedError,
    SimmateRemoteError,
    SSHConfigError,
)
from simmate_remote.session.pace import Pace, needs_a_person

UNANSWERED = [NameNotResolvedError, ConnectionRefusedByHostError, ConnectTimeoutError]
REFUSED = [AuthenticationError, AnswerNeededError, HostKeyChangedError]
FAILED = [ForbiddenByServerError, KeeperError, SSHConfigError]
HOUR = 3600.0


def attempts_within(seconds: float, error: SimmateRemoteError) -> int:
    """Count the attempts of a host that always fails alike, each of which takes no time."""
    pace, now, count = Pace(), 0.0, 0
    while now < seconds:
        count += 1
        now += pace.pause(error)
    return count


@pytest.mark.parametrize("kind", UNANSWERED)
def test_what_nobody_answers_is_tried_every_second_for_ever(kind: type[SimmateRemoteError]) -> None:
    assert attempts_within(HOUR, kind("nobody")) == HOUR


@pytest.mark.parametrize("kind", FAILED)
def test_what_fails_for_another_reason_is_tried_ever_more_seldom(kind: type[SimmateRemoteError]) -> None:
    assert attempts_within(15, kind("no")) <= 4
    assert 60 <= attempts_within(HOUR, kind("no")) <= 130


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_logins_stay_below_what_sites_ban(kind: type[SimmateRemoteError]) -> None:
    assert attempts_within(600, kind("no")) <= 5
    assert attempts_within(HOUR, kind("no")) <= 15
    assert needs_a_person(kind("no"))


@given(st.lists(st.sampled_from(UNANSWERED + FAILED + REFUSED), max_size=200))
def test_pauses_are_bounded_whatever_comes_after_what(kinds: list[type[SimmateRemoteError]]) -> None:
    pace = Pace()
    for kind in kinds:
        assert 1.0 <= pace.pause(kind("no")) <= 600.0


@pytest.mark.parametrize("kind", FAILED + REFUSED)
def test_thousands_of_attempts_are_paced_as_the_last_one_was(kind: type[SimmateRemoteError]) -> None:
    pace = Pace()
    pauses = [pace.pause(kind("no")) for _ in range(3000)]
    assert max(pauses) <= 600
    assert min(pauses[-100:]) >= 30
