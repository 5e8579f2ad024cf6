"""Fixtures for the tests of the link."""

from __future__ import annotations

import kinds
import pytest


@pytest.fixture(params=["asyncssh", "openssh"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test once with each kind of link."""
    monkeypatch.setattr(kinds, "current", request.param)
    return str(request.param)
