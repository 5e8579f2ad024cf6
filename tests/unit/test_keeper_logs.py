"""Logs on the host: read in pieces, followed as they grow, and never cut inside a character."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simmate_remote.errors import KeeperError
from simmate_remote.keeper.host import logs as logs_module
from simmate_remote.keeper.host.lease import Lease
from simmate_remote.keeper.host.log_folder import make_log_folder
from simmate_remote.keeper.host.logs import Logs

TEXT = "Gitterkonstante a₀ = 3.61 Å, größer als erwartet 🔬\n" * 40


@pytest.fixture
def logs(user_folders: Path) -> Logs:
    return Logs(make_log_folder(user_folders))


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 64])
async def test_text_read_in_pieces_of_any_size_is_whole(
    logs: Logs, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "PIECE", piece)
    logs.path("worker").write_text(TEXT)
    pieces = [part async for part in logs.read(last=10**6, follow=False)]
    assert "".join(part["text"] for part in pieces) == TEXT
    assert {part["name"] for part in pieces} == {"worker"}


@pytest.mark.parametrize("size", range(1, 12))
async def test_the_end_of_a_log_begins_with_a_whole_character(logs: Logs, size: int) -> None:
    logs.path("worker").write_text(TEXT)
    read = "".join([part["text"] async for part in logs.read(last=size, follow=False)])
    assert TEXT.endswith(read)
    assert logs.tail("worker", size) == read


async def test_a_log_is_followed_and_new_ones_are_found(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "POLL", 0.01)
    logs.path("one").write_text("before ")
    reading = logs.read(last=0, follow=True)
    following = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    with logs.path("one").open("a") as file:
        file.write("after")
    assert await asyncio.wait_for(following, 10) == {"name": "one", "text": "after"}
    logs.path("two").write_text("new")
    assert await asyncio.wait_for(anext(reading), 10) == {"name": "two", "text": "new"}
    await reading.aclose()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(logs: Logs, name: str) -> None:
    with pytest.raises(KeeperError):
        logs.tail(name)


async def test_a_lease_runs_out_only_when_nobody_holds_it_and_once() -> None:
    ran_out = asyncio.Event()
    count = 0

    def run_out() -> None:
        nonlocal count
        count += 1
        ran_out.set()

    lease = Lease(0.02, run_out)
    lease.hold(True)
    await asyncio.sleep(0.06)
    assert not ran_out.is_set()
    lease.renew(0.01)
    lease.hold(False)
    await asyncio.wait_for(ran_out.wait(), 10)
    assert count == 1
