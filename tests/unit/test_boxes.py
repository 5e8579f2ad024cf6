"""The embedded host and the lab are the same to a test."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests import boxes
from tests.hosts import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.boxes import Box

LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print('up', flush=True); time.sleep(60)"


async def test_a_box_is_logged_in_to_watched_and_cut(box: Box) -> None:
    assert (box.logins(), box.processes(), list(box.sockets())) == (0, [], [])
    async with asyncssh.connect(box.alias, config=[box.ssh_config]) as connection:
        assert (await connection.run("pwd", check=True)).stdout == f"{box.home}\n" == box.run("pwd").stdout
        process = await connection.create_process(f'exec {box.python} -c "{LISTEN}"')
        assert await process.stdout.readline() == "up\n"
        [(pid, argv)] = box.processes()
        assert argv == [box.python, "-c", LISTEN]
        assert len(box.sockets()) == 1
        box.cut()
        await connection.wait_closed()
    # sshd's own process for the login has no name any more while it ends.
    wait_until(lambda: [found for found, _ in box.processes()] == [pid], 10, "the login's process ended")
    box.kill(pid, signal.SIGTERM)
    boxes.assert_nothing_left(box)
    assert box.logins() == 1


def test_a_box_has_dask(box: Box) -> None:
    assert box.run(f"{box.python} -c 'import distributed, bokeh'").returncode == 0


def test_a_box_writes_its_entry_of_the_inventory(box: Box, tmp_path: Path) -> None:
    entry = box.inventory(tmp_path / "hosts")
    assert entry.name == f"{box.alias}.yaml"
    assert str(box.ssh_config) in entry.read_text()


async def test_what_a_test_leaves_on_a_box_is_told_and_ended(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncssh.connect(box.alias, config=[box.ssh_config]) as connection:
        await connection.run("setsid sleep 60 >/dev/null 2>&1 </dev/null &", check=True)
    monkeypatch.setattr(boxes, "LEAVING", 0.1)
    with pytest.raises(pytest.fail.Exception, match=r"(?s)left on the \w+ host.*sleep 60"):
        boxes.assert_nothing_left(box)
    monkeypatch.setattr(boxes, "LEAVING", 60.0)
    began = time.monotonic()
    boxes.assert_nothing_left(box)
    assert time.monotonic() - began < 30
