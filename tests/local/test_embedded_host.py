"""The embedded host behaves as sshd does, for the ``ssh`` program and for asyncssh."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from simmate_remote.testing import EmbeddedHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_ssh = pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh program; apt-get install openssh-client")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in Linux's /proc")
MEGABYTE = 10**6


@pytest.fixture
def host() -> Iterator[EmbeddedHost]:
    with EmbeddedHost() as host:
        yield host


def connect(host: EmbeddedHost, **options: object) -> asyncssh.connection._ACMWrapper:
    return asyncssh.connect(host.alias, config=[host.ssh_config], **options)


def ssh(host: EmbeddedHost, *words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["ssh", "-F", host.ssh_config, *words[:-1], host.alias, words[-1]],
        check=False,
        timeout=30,
        **{"capture_output": True, **options},
    )


def lives(pid: int) -> bool:
    """Tell whether a process lives, looked up by other means than the host's own."""
    try:
        # One that has ended and was not reaped yet has no command line any more.
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (other processes do not set events)
            await asyncio.sleep(0.005)


@needs_ssh
def test_command_with_streams_and_exit_status(host: EmbeddedHost) -> None:
    done = ssh(host, "cat; echo oh >&2; exit 7", input=b"\0\xff bytes\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\0\xff bytes\n", b"oh\n")


@needs_ssh
def test_one_hundred_megabytes_both_ways_at_once(host: EmbeddedHost, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(100 * MEGABYTE)
    sent = tmp_path / "sent"
    sent.write_bytes(data)
    with sent.open("rb") as stdin:
        done = ssh(host, "cat", stdin=stdin)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


async def test_one_hundred_megabytes_both_ways_through_asyncssh(host: EmbeddedHost) -> None:
    data = random.Random(2).randbytes(100 * MEGABYTE)
    async with connect(host) as connection:
        done = await connection.run("cat", input=data, encoding=None)
    assert done.exit_status == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


async def test_a_client_that_does_not_read_holds_the_command_back(host: EmbeddedHost, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    script = f"head -c 20000000 /dev/zero; touch {reached}"
    async with connect(host) as connection:
        process = await connection.create_process(script, encoding=None, window=2**16)
        process.channel.pause_reading()
        await process.stdin.drain()
        # Another command's round trip shows that the server had its chance to read on.
        for _ in range(20):
            await connection.run("true", check=True)
        assert not reached.exists()
        process.channel.resume_reading()
        assert len((await process.wait()).stdout) == 20_000_000
    assert reached.exists()


async def test_a_command_that_does_not_read_holds_the_client_back(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        fifo = host.home / "fifo"
        os.mkfifo(fifo)
        process = await connection.create_process(f"read word <{fifo}; wc -c", encoding=None)
        process.stdin.write(bytes(20 * MEGABYTE))
        for _ in range(20):
            await connection.run("true", check=True)
        assert process.channel.get_write_buffer_size() > 10 * MEGABYTE
        process.stdin.write_eof()
        fifo.write_text("go\n")
        assert int((await process.wait()).stdout) == 20 * MEGABYTE


async def test_what_a_command_does_not_want_to_read_is_dropped(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        done = await connection.run("exec <&-; echo closed", input=bytes(5 * MEGABYTE), encoding=None)
    assert (done.exit_status, done.stdout) == (0, b"closed\n")


async def test_signals_go_both_ways(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        assert (await connection.run("kill -9 $$")).exit_signal[0] == "KILL"
        process = await connection.create_process("sleep 60; echo never")
        await until(host.processes)
        process.send_signal("TERM")
        assert (await process.wait()).exit_signal[0] == "TERM"


async def test_environment_is_sshds_and_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "secret")
    with EmbeddedHost(environment={"EXTRA": "a b"}) as host:
        async with connect(host) as connection:
            sent = {"LC_ALL": "C.UTF-8", "LD_PRELOAD": "no"}
            lines = (await connection.run("env; pwd", env=sent)).stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        assert {"OURS", "LD_PRELOAD"}.isdisjoint(found)
        assert (found["EXTRA"], found["LC_ALL"], found["HOME"]) == ("a b", "C.UTF-8", str(host.home))
        assert {"USER", "LOGNAME", "PATH", "SHELL", "SSH_CLIENT", "SSH_CONNECTION"} <= found.keys()
        assert lines[-1] == str(host.home)


@pytest.mark.parametrize("shell", ["bash", "csh", "fish"])
async def test_login_shell_gets_the_command(shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell}; apt-get install {shell}")
    with EmbeddedHost(shell=path) as host:
        async with connect(host) as connection:
            done = await connection.run("echo $SHELL; ps -o args= -p $$" if shell != "fish" else "echo $SHELL")
    assert done.stdout.splitlines()[0] == path


async def test_login_shell_makes_noise(tmp_path: Path) -> None:
    with EmbeddedHost(banner="Maintenance 100% on $DAY\n") as host:
        async with connect(host) as connection:
            done = await connection.run("echo done; exit 3")
    noise = "Maintenance 100% on $DAY\n"
    assert (done.stdout, done.stderr, done.exit_status) == (f"{noise}done\n", noise, 3)


@needs_ssh
def test_shell_reads_commands_from_stdin(host: EmbeddedHost) -> None:
    done = subprocess.run(
        ["ssh", "-T", "-F", host.ssh_config, host.alias],
        check=False,
        input=b"echo $((6*7)); exit 5\n",
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (5, b"42\n")


async def test_channel_stays_until_nobody_holds_the_output(host: EmbeddedHost) -> None:
    fifo = host.home / "fifo"
    os.mkfifo(fifo)
    async with connect(host) as connection:
        process = await connection.create_process(f"(read word <{fifo}; echo later $word) & echo now")
        assert await process.stdout.readline() == "now\n"
        fifo.write_text("on\n")
        assert (await process.wait()).stdout == "later on\n"


async def test_command_that_cannot_be_started(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        done = await connection.run("#" * 200_000)
    assert done.exit_status == 126
    assert "Argument list too long" in done.stderr


@needs_proc
async def test_client_that_goes_away_ends_stdin_and_sends_no_signal(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        await connection.create_process('trap "echo hup >signals" HUP TERM; cat; echo ended >stdin; sleep 60')
        await until(lambda: len(host.processes()) > 1)
        host.cut()
        await connection.wait_closed()
    await until((host.home / "stdin").exists)
    assert not (host.home / "signals").exists()
    await until(lambda: any(argv == ["sleep", "60"] for _, argv in host.processes()))


@needs_proc
async def test_client_that_goes_away_leaves_the_output_without_reader(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        process = await connection.create_process("yes; echo $? >status", encoding=None)
        await process.stdout.read(10)
        host.cut()
        await connection.wait_closed()
    await until(lambda: (host.home / "status").exists() and (host.home / "status").read_text())
    assert (host.home / "status").read_text() in {"141\n", "1\n"}  # ended by SIGPIPE, or by EPIPE


async def test_cut_breaks_connections_and_new_ones_are_welcome(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        process = await connection.create_process("sleep 60")
        host.cut()
        async with asyncio.timeout(20):
            await connection.wait_closed()
        assert process.exit_status is None
    async with connect(host) as connection:
        assert (await connection.run("echo again")).stdout == "again\n"


async def test_refuse_and_accept_at_the_same_port(host: EmbeddedHost) -> None:
    async with connect(host) as connection:
        host.refuse()
        with pytest.raises(ConnectionRefusedError):
            await connect(host)
        assert (await connection.run("echo stays")).stdout == "stays\n"
    host.change_host_key()
    host.accept()
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await connect(host)


@needs_proc
async def test_daemons_and_their_sockets_are_seen(host: EmbeddedHost) -> None:
    listen = (
        "import os, socket, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0);"
        "tcp = socket.create_server(('127.0.0.1', 0)); unix = socket.socket(socket.AF_UNIX);"
        "unix.bind('a socket'); unix.listen(); open('port', 'w').write(str(tcp.getsockname()[1]));"
        "six = socket.create_server(('::1', 0), family=socket.AF_INET6) if socket.has_ipv6 else None; time.sleep(60)"
    )
    async with connect(host) as connection:
        await connection.run(f'{host.python} -c "{listen}" >/dev/null 2>&1 </dev/null', check=True)
        await until(lambda: (host.home / "port").exists() and (host.home / "port").read_text())
    await until(lambda: len(host.processes()) == 1)
    [(pid, argv)] = host.processes()
    assert argv[0] == host.python
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(f"{host.home}/not\nthere: 1 2 3 00010000\n")
        found = {(entry.pid, entry.family, entry.address) for entry in host.sockets()}
    assert (pid, "tcp", f"127.0.0.1:{(host.home / 'port').read_text()}") in found
    assert (pid, "unix", "a socket") in found
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not host.processes())
    assert host.sockets() == []


@needs_proc
async def test_close_leaves_nothing() -> None:
    async with EmbeddedHost() as host, connect(host) as connection:
        daemon = "trap '' HUP TERM INT; while :; do sleep 60; done"
        await connection.run(f'setsid sh -c "{daemon}" >/dev/null 2>&1 </dev/null & echo $!', check=True)
        await connection.create_process("cat")
        await until(lambda: len(host.processes()) >= 3)
        pids = [pid for pid, _ in host.processes()]
        assert all(map(lives, pids))
        await asyncio.to_thread(host.close)
        async with asyncio.timeout(20):
            await connection.wait_closed()
    assert not host.home.parent.exists()
    assert host.processes() == []
    assert list(filter(lives, pids)) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", host.port)) != 0


def test_inventory_and_command_without_ssh(host: EmbeddedHost, tmp_path: Path) -> None:
    file = host.inventory(tmp_path / "hosts")
    assert file.name == "lab-box.yaml"
    assert f'ssh_config: "{host.ssh_config}"\n' in file.read_text()
    done = host.run("pwd; exit 4")
    assert (done.returncode, done.stdout, host.logins) == (4, f"{host.home}\n", 0)


def test_fixture_of_the_plugin(embedded_host: EmbeddedHost) -> None:
    assert embedded_host.run("echo yes").stdout == "yes\n"


def test_plugin_imports_nothing_heavy() -> None:
    check = (
        "import sys, simmate_remote.testing.pytest_plugin;"
        "print(sorted({'asyncssh', 'distributed', 'dask', 'bokeh'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
