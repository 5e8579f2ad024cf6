"""Scripts on a host whose server falls silent at a point where paramiko itself waits for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import paramiko
import pytest

from simmate_remote.environment.login import Login
from simmate_remote.environment.shell import Shell
from simmate_remote.errors import LinkLostError

PATIENCE = 0.3


class Server(paramiko.ServerInterface):
    """Lets anybody in; a command is never answered, or never ends.

    Args:
        answers: Whether it says that the command has begun.
    """

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.over = threading.Event()

    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.answers:
            threading.Thread(target=channel.shutdown_write).start()
        else:
            self.over.wait(20)
        return True


@pytest.fixture
def shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    ours, theirs = socket.socketpair()
    server, host = Server(answers=request.param), paramiko.Transport(theirs)
    host.add_server_key(paramiko.RSAKey.generate(2048))
    client = paramiko.Transport(ours)
    try:
        host.start_server(event=threading.Event(), server=server)
        client.start_client(timeout=10)
        client.auth_none("me")
        hop = SimpleNamespace(destination=SimpleNamespace(host="lab-box"))
        yield Shell(cast("Login", SimpleNamespace(hop=hop, open_channel=client.open_session)), "~/x")
    finally:
        server.over.set()
        client.close()
        host.close()


@pytest.mark.timeout(15)
@pytest.mark.parametrize("shell", [False, True], indirect=True, ids=["at the start", "at the end"])
def test_a_server_that_falls_silent_is_not_waited_for(shell: Shell) -> None:
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(shell.run("clear", seconds=PATIENCE, all=""))
        except LinkLostError as error:
            outcome.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(10)
    assert not running.is_alive()
    (error,) = outcome
    assert isinstance(error, LinkLostError)
    assert "the host fell silent while `clear` ran there" in str(error)


@pytest.mark.parametrize("shell", [True], indirect=True)
def test_what_a_silent_server_cannot_be_told_is_no_second_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    close = paramiko.Channel.close

    def close_and_fail(channel: paramiko.Channel) -> None:
        close(channel)
        by_the_clock = isinstance(threading.current_thread(), threading.Timer)
        if by_the_clock:
            raise EOFError

    with monkeypatch.context() as patch:
        patch.setattr(paramiko.Channel, "close", close_and_fail)
        with pytest.raises(LinkLostError, match="fell silent"):
            shell.run("clear", seconds=PATIENCE, all="")
