"""Logins that workflows make: each host for itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from simmate_remote.inventory import Host
from simmate_remote.session.desk import Desk
from simmate_remote.workflows.resources import _Connections

LIMIT = 5.0


def test_a_login_that_waits_for_a_code_holds_up_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, typed = threading.Event(), threading.Event()
    opened: list[str] = []

    def open_(desk: Desk, **_options: Any) -> None:
        if desk.name == "slow":
            asked.set()
            assert typed.wait(LIMIT)
        opened.append(desk.name)

    monkeypatch.setattr(Desk, "open", open_)
    monkeypatch.setattr("simmate_remote.inventory.load_host", lambda name: Host(name=name, ssh=name))
    connections = _Connections()
    # Two want the same one: it is logged in to once.
    waiting = [threading.Thread(target=connections.desk, args=("slow",), daemon=True) for _ in range(2)]
    for each in waiting:
        each.start()
    assert asked.wait(LIMIT)
    other = threading.Thread(target=connections.desk, args=("quick",), daemon=True)
    other.start()
    other.join(LIMIT)
    assert opened == ["quick"]
    typed.set()
    for each in waiting:
        each.join(LIMIT)
    assert opened == ["quick", "slow"]
