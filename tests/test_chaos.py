"""Chaos in its short form: 40 runs, each kind of death at least once; nothing is lost, nothing happens twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.plan import short
from chaos.play import play
from chaos.stage import Stage
from tests.boxes import LabBox
from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture
def stage(lab: Lab) -> Iterator[Stage]:
    """Give the lab's host, and a user with processes to kill."""
    stage = Stage(LabBox(lab))
    yield stage
    stage.close()


@pytest.mark.slow
def test_every_run_has_its_one_outcome_whatever_dies(stage: Stage) -> None:
    played = play(stage, short(seed=5))
    assert played.reckoning.violations == {}, stage.evidence()
    assert played.reckoning.outcomes + played.reckoning.given_up >= played.plan.runs
