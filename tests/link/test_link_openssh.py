"""What only the link through the ssh program has: masters, its own and the user's, and its askpass program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sshd import Sshd, needs_sshd, running_sshd

from simmate_remote.link import Destination, Link, Prompt, connect
from simmate_remote.link.openssh.asking import Asker
from simmate_remote.link.patience import Patience
from simmate_remote.link.questions import Questions

pytestmark = needs_sshd


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        server.know()
        yield server


async def log_in(config: Path) -> Link:
    return await connect(Destination("lab", "box", config=str(config), link="openssh"))


async def output(link: Link, command: str) -> bytes:
    reader = asyncio.StreamReader()
    await link.open_command(command, lambda: asyncio.StreamReaderProtocol(reader))
    async with asyncio.timeout(10):
        return await reader.read()


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Path]]]:
    """Give what lists the folders of sockets, of this test alone."""
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield lambda: list(Path(folder).iterdir())


def masters(config: Path) -> list[int]:
    """Return the ssh processes that were given this configuration."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if folder.name.isdigit() and words[0] == b"ssh" and bytes(config) in words:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


async def until_gone(config: Path) -> None:
    for master in masters(config):
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(master)
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(descriptor, ended.set)
            try:
                async with asyncio.timeout(20):
                    await ended.wait()
            finally:
                asyncio.get_running_loop().remove_reader(descriptor)
                os.close(descriptor)


@pytest.fixture
def masters_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as folder:
        yield Path(folder) / "%C"


def start_master(config: Path) -> None:
    subprocess.run(["ssh", "-F", config, "-M", "-N", "-f", "box"], check=True, stderr=subprocess.DEVNULL)


def end_master(config: Path) -> None:
    subprocess.run(["ssh", "-F", config, "-O", "exit", "box"], check=False, stderr=subprocess.DEVNULL)


async def test_a_living_master_of_the_user_is_used_and_not_ended(sshd: Sshd, masters_path: Path) -> None:
    config = sshd.config(ControlPath=masters_path)
    start_master(config)
    try:
        before = masters(config)
        link = await log_in(config)
        assert link.report.shared
        assert await output(link, "echo hello") == b"hello\n"
        assert masters(config) == before
        await link.close()
        assert masters(config) == before
        link = await log_in(config)
        end_master(config)
        async with asyncio.timeout(20):
            assert "has ended" in str(await link.wait_lost())
        await link.close()
    finally:
        end_master(config)


async def test_a_master_that_lets_nobody_in_is_left_alone(tmp_path: Path, masters_path: Path) -> None:
    with running_sshd(tmp_path, "MaxSessions 0") as server:
        server.know()
        config = server.config(ControlPath=masters_path)
        start_master(config)
        try:
            (users,) = masters(config)
            link = await log_in(config)
            assert not link.report.shared
            await link.close()
            # Our own has closed its socket by now, and may need a moment more until its process is gone.
            assert users in masters(config)
        finally:
            end_master(config)


async def test_the_socket_of_a_dead_master_is_no_master(sshd: Sshd, masters_path: Path) -> None:
    config = sshd.config(ControlPath=masters_path)
    start_master(config)
    (master,) = masters(config)
    os.kill(master, signal.SIGKILL)
    await until_gone(config)
    link = await log_in(config)
    assert not link.report.shared
    await link.close()


async def test_nothing_is_left_of_a_link(sshd: Sshd, sockets: Callable[[], list[Path]]) -> None:
    config = sshd.config()
    link = await log_in(config)
    (folder,) = sockets()
    assert folder.stat().st_mode & 0o777 == 0o700
    await link.close()
    await until_gone(config)
    assert not sockets()


async def test_the_master_ends_with_a_process_that_is_killed(sshd: Sshd, sockets: Callable[[], list[Path]]) -> None:
    config = sshd.config()
    code = (
        "import asyncio, sys\n"
        "from simmate_remote.link import Destination, connect\n"
        "async def main():\n"
        "    link = await connect(Destination('lab', 'box', config=sys.argv[1], link='openssh'))\n"
        "    await link.open_command('cat', asyncio.Protocol)\n"
        "    print('asyncssh' in sys.modules, flush=True)\n"
        "    await link.wait_lost()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, config, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"False\n"  # and the import of asyncssh was saved
    assert len(masters(config)) == 1
    process.kill()
    await process.wait()
    await until_gone(config)
    assert len(sockets()) == 1
    link = await log_in(config)
    await link.close()
    assert not sockets()


async def test_nothing_of_the_user_s_shells_is_opened_twice(sshd: Sshd, tmp_path: Path) -> None:
    link = await log_in(
        sshd.config(
            LocalForward=f"{tmp_path}/forward /nowhere",
            ForwardAgent="yes",
            ForwardX11="yes",
            RequestTTY="force",
            RemoteCommand="echo wrong",
            PermitLocalCommand="yes",
            LocalCommand=f"touch {tmp_path}/touched",
            LogLevel="QUIET",
        )
    )
    assert await output(link, "echo $SSH_AUTH_SOCK$DISPLAY; tty") == b"\nnot a tty\n"
    assert not (tmp_path / "forward").exists()
    assert not (tmp_path / "touched").exists()
    assert link.report.server.startswith("SSH-2.0-OpenSSH")
    await link.close()


async def ask_through_program(asker: Asker, text: str, hint: str) -> asyncio.subprocess.Process:
    environment = os.environ | await asker.start() | {"SSH_ASKPASS_PROMPT": hint}
    return await asyncio.create_subprocess_exec(
        environment["SSH_ASKPASS"], text, env=environment, stdout=asyncio.subprocess.PIPE
    )


async def test_a_notice_is_shown_until_ssh_takes_it_back(masters_path: Path) -> None:
    shown: asyncio.Queue[Prompt] = asyncio.Queue()

    async def person(prompt: Prompt) -> None:
        await shown.put(prompt)

    async with Patience(10) as patience:
        asker = Asker(masters_path.parent, Questions(person, patience, batch=False), lambda: "", str)
        program = await ask_through_program(asker, "Confirm user presence for key ED25519-SK", "none")
        prompt = await shown.get()
        assert (prompt.kind, prompt.text) == ("notice", "Confirm user presence for key ED25519-SK")
        program.terminate()
        assert await program.wait() == -signal.SIGTERM
        await asker.stop()


@pytest.mark.parametrize(("answer", "status", "printed"), [("yes", 0, b"yes\n"), ("no", 1, b""), (None, 1, b"")])
async def test_a_confirmation(masters_path: Path, answer: str | None, status: int, printed: bytes) -> None:
    async def person(prompt: Prompt) -> str | None:
        assert prompt.echo
        return answer

    async with Patience(10) as patience:
        asker = Asker(masters_path.parent, Questions(person, patience, batch=False), lambda: "", str)
        program = await ask_through_program(asker, "Add key id (me) to agent?", "confirm")
        assert (await program.communicate())[0] == printed
        assert program.returncode == status
        await asker.stop()


async def test_nobody_else_is_answered(masters_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def person(prompt: Prompt) -> str:
        raise AssertionError

    async with Patience(10) as patience:
        asker = Asker(masters_path.parent, Questions(person, patience, batch=False), lambda: "", str)
        monkeypatch.setattr("simmate_remote.link.openssh.asking._user_of", lambda _: os.getuid() + 1)
        program = await ask_through_program(asker, "Password: ", "")
        assert (await program.communicate())[0] == b""
        assert program.returncode == 1
        await asker.stop()


async def test_a_step_that_was_begun_before_somebody_waits_has_its_limit() -> None:
    patience = Patience(30)
    patience.begin("knocking", 0.01)
    with pytest.raises(TimeoutError):
        async with patience, asyncio.timeout(20):
            await asyncio.Event().wait()
    assert (patience.step, patience.expired) == ("knocking", True)
