"""A session's first login: how long the session holds back for it, and the command that it opens at once."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import kinds
import pytest
from sshd import needs_sshd, running_sshd

from simmate_remote.errors import ForbiddenByServerError, LinkError
from simmate_remote.keeper.arrival import arrive
from simmate_remote.link import Prompt
from simmate_remote.session import first_login
from simmate_remote.session.first_login import FirstLogin
from simmate_remote.session.order import SessionOrder

pytestmark = pytest.mark.usefixtures("kind")


def order(config: Path) -> SessionOrder:
    return SessionOrder(
        name="lab",
        ssh="box",
        ssh_config=str(config),
        folder="~/simmate-remote",
        python=None,
        workers={},
        keepalive_interval=5.0,
        keepalive_tries=3,
        lease=60.0,
        lease_text="1 min",
        connect_timeout=20.0,
        link=kinds.current,
        owner="tests",
    )


async def nobody(prompt: Prompt) -> str | None:
    raise AssertionError(f"nothing is to be asked: {prompt.text}")


@needs_sshd
async def test_a_python_is_called_before_anybody_asks_for_it(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as server:
        server.know()
        first = FirstLogin(order(server.config()))
        link = await first.finish(nobody)
        calling = first.take_call()
        assert calling is not None
        assert first.take_call() is None  # it can serve one only
        found = await arrive(await calling)
        assert found.python >= (3, 11)
        await link.close()


@needs_sshd
async def test_a_refused_call_is_told_to_whoever_takes_it(tmp_path: Path) -> None:
    with running_sshd(tmp_path, "MaxSessions 0") as server:
        server.know()
        first = FirstLogin(order(server.config()))
        link = await first.finish(nobody)
        calling = first.take_call()
        assert calling is not None
        with pytest.raises(ForbiddenByServerError):
            await calling
        await link.close()


@needs_sshd
async def test_a_question_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_login, "HEAD_START", 3600)
    asked: list[str] = []

    async def agree(prompt: Prompt) -> str | None:
        asked.append(prompt.kind)
        return "yes"

    with running_sshd(tmp_path) as server:  # whose key nobody knows
        first = FirstLogin(order(server.config()))
        await first.head_start()
        link = await first.finish(agree)
        assert asked == ["host-key"]
        await link.close()


async def test_a_failure_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_login, "HEAD_START", 3600)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        config = nowhere(tmp_path, closed.getsockname()[1])
    first = FirstLogin(order(config))
    await first.head_start()
    with pytest.raises(LinkError, match="refuses the connection"):
        await first.finish(nobody)


async def test_a_silent_host_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_login, "HEAD_START", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        first = FirstLogin(order(nowhere(tmp_path, silent.getsockname()[1])))
        await first.head_start()
        finishing = asyncio.create_task(first.finish(nobody))
        assert not finishing.done()
    with pytest.raises(LinkError):
        await finishing


def nowhere(folder: Path, port: int) -> Path:
    """Write an ssh_config with an alias for a port behind which there is no sshd."""
    path = folder / "ssh_config"
    path.write_text(f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  UserKnownHostsFile /dev/null\n")
    return path
