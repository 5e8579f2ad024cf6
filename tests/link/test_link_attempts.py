"""What tells whoever tries again how a login failed: whether a server was reached, and whether a person is needed."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncssh
import pytest
from kinds import to
from ssh_server import Script, scripted_server
from sshd import needs_sshd, running_sshd, write_key

from simmate_remote.errors import AnswerNeededError, AuthenticationError, ConnectTimeoutError, LinkError
from simmate_remote.link import connect

pytestmark = pytest.mark.usefixtures("kind")


async def failure(config: Path, ask: object = None, **options: float) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await connect(to("box", config, **options), ask)  # type: ignore[arg-type]
    return caught.value


def write_config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ssh_config"
    path.write_text(f"Host *\n  UserKnownHostsFile {tmp_path}/known_hosts\n  GlobalKnownHostsFile /dev/null\n{text}\n")
    return path


@contextmanager
def deaf_port() -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """Listen at a port where no connection is completed, because those that wait fill its queue."""
    with ExitStack() as stack:
        full, *waiting = [stack.enter_context(socket.socket()) for _ in range(3)]
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        # On a machine with much to do, another connection could arrive before these.
        assert select.select([full], [], [], 10)[0]
        yield full, waiting


async def test_nothing_answered(tmp_path: Path) -> None:
    assert not (await failure(write_config(tmp_path, "HostName no-such-host.invalid"))).reached_server
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = write_config(tmp_path, f"HostName 127.0.0.1\nPort {closed.getsockname()[1]}")
        assert not (await failure(config)).reached_server
    with deaf_port() as (full, _):
        config = write_config(tmp_path, f"HostName 127.0.0.1\nPort {full.getsockname()[1]}")
        assert not (await failure(config, connect_timeout=0.3)).reached_server


async def test_a_server_answered(tmp_path: Path) -> None:
    async with scripted_server(tmp_path, Script(password="x")) as server:
        assert (await failure(server.config())).reached_server
        assert (await failure(server.config(UserKnownHostsFile=tmp_path / "empty"))).reached_server
        assert (await failure(server.config(Ciphers="aes128-cbc"))).reached_server


async def test_a_jump_host_answered(tmp_path: Path) -> None:
    if not needs_sshd.args[0]:
        with running_sshd(tmp_path) as server:
            server.know()
            config = server.config("Host behind\n  ProxyJump box\n  HostName 127.0.0.1\n  Port 1\n")
            with pytest.raises(LinkError) as caught:
                await connect(to("behind", config))
            assert caught.value.reached_server


async def test_an_answer_is_needed(tmp_path: Path) -> None:
    async def nobody(prompt: object) -> None:
        return None

    async def wrong(prompt: object) -> str:
        return "wrong"

    async with scripted_server(tmp_path, Script(password="x")) as server:
        assert type(await failure(server.config())) is AnswerNeededError
        assert type(await failure(server.config(), nobody)) is AnswerNeededError
        assert type(await failure(server.config(), wrong)) is AuthenticationError
        assert type(await failure(server.config(BatchMode="yes"), wrong)) is AuthenticationError
        assert type(await failure(server.config(PasswordAuthentication="no"))) is AuthenticationError


async def test_the_passphrase_of_a_key_is_needed(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "id", key, passphrase="x")
    async with scripted_server(tmp_path, Script(key=key)) as server:
        assert type(await failure(server.config(IdentityFile=tmp_path / "id"))) is AnswerNeededError


@needs_sshd
async def test_the_impatient_notice_soon_that_a_host_is_back(tmp_path: Path, kind: str) -> None:
    with deaf_port() as (full, waiting):
        config = write_config(tmp_path, f"HostName 127.0.0.1\nPort {full.getsockname()[1]}")
        begin = time.monotonic()
        if kind == "openssh":
            error = await failure(config, connect_timeout=30, impatient=True)
            assert type(error) is ConnectTimeoutError
            assert 0.9 < time.monotonic() - begin < 10  # and not the 30 s of those who have patience
            return
        connecting = asyncio.create_task(connect(to("box", config, connect_timeout=30, impatient=True)))
        # TCP asks again after 1, 3 and 7 s; who knocks each second is heard at the next full one.
        await asyncio.sleep(3.3)
        full.setblocking(False)
        full.listen(8)
        loop = asyncio.get_running_loop()
        back = time.monotonic()
        ours = {one.getsockname() for one in waiting}
        async with asyncio.timeout(10):
            while True:
                heard, address = await loop.sock_accept(full)
                heard.close()
                if address not in ours:
                    break
        assert time.monotonic() - back < 3  # TCP asks again after 3.7
        with pytest.raises(LinkError):
            await connecting
