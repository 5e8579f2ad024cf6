"""The scheduler's pages on the host: only for their owner, without TCP, live plots later."""

# ruff: noqa: ASYNC240 - a look at a file of the test is no wait

from __future__ import annotations

import asyncio
import stat
import sys
from pathlib import Path

import psutil
import pytest
from distributed import Client

from simmate_remote.cluster.host.dashboard import OwnerOnlyScheduler, QuietWorker, attach_dashboard, serve_pages
from simmate_remote.errors import SchedulerError


async def fetch(socket: Path, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer


@pytest.fixture
def socket(user_folders: Path) -> Path:
    return user_folders / "run" / "pages.sock"


async def test_scheduler_and_worker_listen_for_dask_alone(socket: Path) -> None:
    def ports() -> set[int]:
        listening = psutil.Process().net_connections("inet")
        return {each.laddr.port for each in listening if each.status == psutil.CONN_LISTEN}

    before = ports()
    async with (
        OwnerOnlyScheduler(host="127.0.0.1", port=0, dashboard_address=":0", dashboard=True) as scheduler,
        QuietWorker(scheduler.address, host="127.0.0.1", dashboard=True) as worker,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        await serve_pages(scheduler, socket)
        assert await client.submit(sum, (1, 2)) == 3
        assert ports() - before == {scheduler.port, worker.port}
        assert "dashboard" not in scheduler.identity()["services"]
        assert "dashboard" not in scheduler.workers[worker.address].services


async def test_socket_belongs_to_its_owner_and_goes_with_the_scheduler(socket: Path) -> None:
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        await serve_pages(scheduler, socket)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert not socket.exists()


async def test_socket_of_a_dead_process_is_replaced(socket: Path) -> None:
    async with await asyncio.start_unix_server(lambda _reader, _writer: None, socket):
        pass
    assert socket.exists() or sys.version_info >= (3, 13)  # from 3.13 on, asyncio clears up itself
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        await serve_pages(scheduler, socket)
        assert (await fetch(socket, "/health"))[0] == 200


async def test_folder_open_to_others_is_refused(socket: Path) -> None:
    socket.parent.chmod(0o750)
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        with pytest.raises(SchedulerError, match="open to other users"):
            await serve_pages(scheduler, socket)
    assert not socket.exists()


@pytest.mark.parametrize("name", ["x" * 120, "missing/pages.sock"])
async def test_impossible_socket_is_explained(socket: Path, name: str) -> None:
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        with pytest.raises(SchedulerError, match="no socket for the dashboard"):
            await serve_pages(scheduler, socket.parent / name)


async def test_file_that_is_no_socket_is_left_alone(socket: Path) -> None:
    socket.write_text("precious")
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        with pytest.raises(SchedulerError, match="no socket for the dashboard"):
            await serve_pages(scheduler, socket)
    assert socket.read_text() == "precious"


async def test_plots_come_later(socket: Path) -> None:
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        await serve_pages(scheduler, socket)
        status, page = await fetch(socket, "/status")
        assert status == 503
        assert "Refresh: 1" in page
        assert (await fetch(socket, "/info/main/workers.html"))[0] == 200

        await attach_dashboard(scheduler)
        status, page = await fetch(socket, "/status")
        assert status == 200
        assert "Bokeh" in page
        assert (await fetch(socket, "/no-such-page"))[0] == 404


async def test_missing_bokeh_is_said(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed.dashboard.scheduler", None)
    async with OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler:
        await serve_pages(scheduler, socket)
        await attach_dashboard(scheduler)
        status, page = await fetch(socket, "/status")
        assert status == 200
        assert "Dask needs bokeh" in page


async def test_pages_lead_to_no_page_of_a_worker(socket: Path) -> None:
    async with (
        OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler,
        QuietWorker(scheduler.address, host="127.0.0.1") as worker,
    ):
        await serve_pages(scheduler, socket)
        await attach_dashboard(scheduler)
        status, page = await fetch(socket, "/info/main/workers.html")
        assert status == 200
        assert worker.address in page
        assert "proxy/" not in page
        assert (await fetch(socket, f"/proxy/{worker.port}/127.0.0.1/status"))[0] == 404
