"""The lab keeps its promises."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.leftovers import assert_as_found

reason = Lab.missing()
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(reason is not None, reason=f"{reason[0]}; this would enable it: {reason[1]}" if reason else ""),
]

SSH_PORT = 22
names = (f"user{number}" for number in itertools.count())

LISTEN = """
import os, socket, sys
tcp = socket.create_server(("0.0.0.0", int(sys.argv[1])))
unix = socket.socket(socket.AF_UNIX)
path = f"/tmp/listener-{os.getpid()}"
unix.bind(path)
unix.listen()
print("listening", flush=True)
sys.stdin.read()
os.unlink(path)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up() as lab:
        yield lab


@pytest.fixture(autouse=True)
def lab_as_found(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let every test leave this module's lab as it found it."""
    yield
    if "lab" in request.fixturenames:
        assert_as_found(request.getfixturevalue("lab"))


def ssh(lab: Lab, *words: str, alias: str = "lab-box") -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(lab.ssh_config), "-o", "BatchMode=yes", alias, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def connect(lab: Lab, port: int = SSH_PORT, seconds: float = 5) -> socket.socket:
    return socket.create_connection((lab.address, port), timeout=seconds)


def round_trip(lab: Lab) -> float:
    """Return the best of some TCP handshakes, in milliseconds."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        with connect(lab) as connection:
            times.append(time.perf_counter() - start)
            connection.recv(100)  # not more at once than the server takes: it drops some when it is busy with ten
    return min(times) * 1000


@pytest.fixture
def listener(lab: Lab) -> Iterator[int]:
    """A neighbour's server on port 5000 and a Unix socket; its number on the box."""
    command = ["/usr/bin/python3", "-c", LISTEN, "5000"]
    with lab.popen("neighbour", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        (pid,) = [pid for pid, argv in lab.processes("neighbour") if LISTEN in argv]
        yield pid
        process.stdin.close()  # type: ignore[union-attr]


def test_a_command_runs_as_the_ordinary_user(lab: Lab) -> None:
    result = ssh(lab, "id -un; hostname; pwd; exit 7")
    assert (result.returncode, result.stdout) == (7, "researcher\nlab-box\n/home/researcher\n")


def test_only_port_22_answers(lab: Lab, listener: int) -> None:
    connect(lab).close()
    for port in (5000, 5001, 80):
        with pytest.raises(TimeoutError):
            connect(lab, port, seconds=0.2)


def test_an_open_firewall_lets_everything_in(lab: Lab, listener: int) -> None:
    with lab.network.open_firewall():
        connect(lab, 5000).close()
        with pytest.raises(ConnectionRefusedError):
            connect(lab, 5001)
    with pytest.raises(TimeoutError):
        connect(lab, 5000, seconds=0.2)


def test_the_box_cannot_dial_out(lab: Lab) -> None:
    here = lab.network.state()["laptop_address"]
    with socket.create_server((here, 0)) as server:
        dial = f"import socket; socket.create_connection({server.getsockname()!r}, timeout=0.3)"
        result = lab.run("researcher", ["/usr/bin/python3", "-c", dial], check=False)
    assert "TimeoutError" in result.stderr


@pytest.mark.parametrize("milliseconds", [20, 50, 100])
def test_delay_is_exact(lab: Lab, milliseconds: int) -> None:
    with lab.network.delay(milliseconds):
        times = [round_trip(lab) for _ in range(8)]
    assert min(times) >= milliseconds
    # Of several: this machine may be busy with other things.
    assert min(times) < milliseconds + 5
    assert min(round_trip(lab) for _ in range(8)) < 10


def test_down_is_down_and_up_recovers(lab: Lab) -> None:
    with connect(lab) as before:
        assert before.recv(100).startswith(b"SSH-2.0-OpenSSH")
        with lab.network.down(), pytest.raises(TimeoutError):
            connect(lab, seconds=0.2)
        before.sendall(b"SSH-2.0-test\r\n")
        assert before.recv(1)


def test_loss_loses_packets(lab: Lab) -> None:
    with lab.network.loss(100), pytest.raises(TimeoutError):
        connect(lab, seconds=0.2)
    with lab.network.loss(5):
        # It takes longer, and every byte comes.
        result = ssh(lab, "head -c 2000000 /dev/zero | wc -c; head -c 2000000 /dev/zero")
    assert len(result.stdout) == len("2000000\n") + 2_000_000


def test_a_firewall_that_forgets_is_silent_to_old_connections(lab: Lab) -> None:
    with connect(lab) as before:
        assert before.recv(100).startswith(b"SSH-2.0-OpenSSH")
        lab.network.forget_connections()
        before.sendall(b"SSH-2.0-test\r\n")
        before.settimeout(0.3)
        with pytest.raises(TimeoutError):
            before.recv(1)
        assert ssh(lab, "true").returncode == 0


def test_a_firewall_that_forgets_what_is_idle_keeps_what_is_not(lab: Lab) -> None:
    with lab.network.forget_idle(2), connect(lab) as idle, connect(lab) as busy:
        for connection in (idle, busy):
            assert connection.recv(100).startswith(b"SSH-2.0-OpenSSH")
        busy.settimeout(0.4)
        busy.sendall(b"SSH-2.0-test\r\n")
        assert busy.recv(5000)
        for _ in range(7):  # 2.8 s in all, and 0.4 s of silence each time
            busy.sendall(b"\0")
            with pytest.raises(TimeoutError):
                busy.recv(1)
        idle.settimeout(0.3)
        idle.sendall(b"SSH-2.0-test\r\n")
        with pytest.raises(TimeoutError):
            idle.recv(1)
        assert failure_to_end(busy) is None


def failure_to_end(connection: socket.socket) -> OSError | None:
    """Send what a server answers by hanging up, and see whether the answer comes."""
    connection.settimeout(2)
    try:
        connection.sendall(bytes(4000))
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        return None
    except OSError as error:
        return error
    return None


def failure_to_ask(connection: socket.socket) -> OSError:
    with pytest.raises(OSError) as caught:  # noqa: PT011, PT012 (silent, or the kernel has noticed: both are real)
        connection.sendall(b"SSH-2.0-test\r\n")
        connection.recv(1)
    return caught.value


def test_a_new_address_ends_what_the_old_one_had(lab: Lab) -> None:
    with connect(lab) as before:
        assert before.recv(100).startswith(b"SSH-2.0-OpenSSH")
        new = lab.network.new_address()
        before.settimeout(0.3)
        caught = failure_to_ask(before)
        assert isinstance(caught, TimeoutError) or caught.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
    with connect(lab) as after:
        assert after.getsockname()[0] == new
        assert after.recv(1)  # the server has logged it: the next test counts


def test_logins_are_counted(lab: Lab) -> None:
    mark = lab.mark()
    with connect(lab) as stranger:
        assert stranger.recv(1)
    ssh(lab, "true")
    ssh(lab, "true", alias="lab-neighbour")
    assert lab.logins(mark) == 2
    assert lab.connections(mark) == 3
    assert [(login.user, login.method) for login in lab.server.logins(mark)] == [
        ("researcher", "publickey"),
        ("neighbour", "publickey"),
    ]


def test_processes_and_sockets_are_seen(lab: Lab, listener: int) -> None:
    assert {(found.kind, found.address, found.pid) for found in lab.sockets("neighbour")} == {
        ("tcp", "0.0.0.0:5000", listener),
        ("unix", f"/tmp/listener-{listener}", listener),
    }
    lab.wait_until_idle("researcher")
    lab.kill(listener, signal.SIGKILL)
    lab.wait_until_idle("neighbour")
    assert lab.sockets("neighbour") == []
    assert lab.files("neighbour") == [f"/tmp/listener-{listener}"]
    lab.run("neighbour", "rm /tmp/listener-*")


@pytest.mark.parametrize(
    ("shell", "startup"),
    [
        ("/bin/bash", "echo banner; echo banner >&2\n"),
        ("/bin/tcsh", "echo banner\n"),
        ("/bin/csh", "echo banner\n"),
        ("/usr/bin/fish", "echo banner; echo banner >&2\n"),
    ],
)
def test_accounts_have_their_own_shells(lab: Lab, shell: str, startup: str) -> None:
    account = lab.account(next(names), shell=shell, bashrc=startup)
    result = ssh(lab, "printf %s $SHELL", alias=account.alias)
    assert result.stdout == f"banner\n{shell}"


def test_a_home_may_have_a_space(lab: Lab) -> None:
    account = lab.account(next(names), home="/home/two words")
    assert ssh(lab, "pwd; touch here", alias=account.alias).stdout == "/home/two words\n"
    assert (lab.home(account.name) / "here").exists()


def test_a_co_user_cannot_look_into_a_home(lab: Lab) -> None:
    assert "Permission denied" in lab.run("neighbour", "ls /home/researcher", check=False).stderr


def ask(lab: Lab, alias: str, answer: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Log in where the answer to every question is the same."""
    script = tmp_path / "answer"
    script.write_text(f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force"}
    command = ["ssh", "-F", str(lab.ssh_config), "-o", "NumberOfPasswordPrompts=1", alias, "echo in"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


def test_passwords_work(lab: Lab, tmp_path: Path) -> None:
    account = lab.account(next(names), key=False, password="correct horse")
    mark = lab.mark()
    assert ask(lab, account.alias, "correct horse", tmp_path).stdout == "in\n"
    assert [login.method for login in lab.server.logins(mark)] == ["password"]
    assert ask(lab, account.alias, "wrong", tmp_path).returncode == 255


def test_one_time_codes_work_once(lab: Lab, tmp_path: Path) -> None:
    with lab.one_time_codes("publickey,keyboard-interactive"):
        code = lab.next_code("researcher")
        assert ask(lab, "lab-box", code, tmp_path).stdout == "in\n"
        assert ask(lab, "lab-box", code, tmp_path).returncode == 255
        assert ask(lab, "lab-box", lab.next_code("researcher"), tmp_path).stdout == "in\n"
    assert ssh(lab, "true").returncode == 0


def test_the_server_can_be_set_otherwise(lab: Lab) -> None:
    with lab.sshd(ForceCommand="echo forced"):
        assert ssh(lab, "echo asked").stdout == "forced\n"
    assert ssh(lab, "echo asked").stdout == "asked\n"


def test_wrong_settings_say_what_is_wrong_and_are_taken_back(lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="NoSuchKeyword"):
        lab.sshd(NoSuchKeyword="yes")
    lab.sshd()
    assert ssh(lab, "true").returncode == 0


def test_sessions_outlive_a_server_that_starts_anew_but_not_a_hang_up(lab: Lab) -> None:
    command = ["ssh", "-F", str(lab.ssh_config), "lab-box", "echo begun; read answer; echo $answer; sleep 60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        lab.sshd()
        process.stdin.write("still here\n")
        process.stdin.flush()
        assert process.stdout.readline() == "still here\n"
        assert lab.server.hang_up() > 0
        assert process.wait(10) == 255
    lab.run("researcher", "kill -9 -1", check=False)
    lab.wait_until_idle("researcher")


def test_a_stopped_server_refuses(lab: Lab) -> None:
    lab.server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(lab)
    lab.server.start()
    connect(lab).close()


@pytest.mark.parametrize("offset", [3600, -3600])
def test_the_clock_is_wrong_in_python_and_in_ssl(lab: Lab, offset: int) -> None:
    # A certificate that is made there begins now, as the box sees it: ssl here is asked whether that is in the future.
    read_clocks = (
        "import time, subprocess, datetime;"
        "from cryptography import x509;"
        "print(time.time(), datetime.datetime.now(datetime.UTC).timestamp());"
        "subprocess.run('openssl req -x509 -newkey ed25519 -nodes -keyout /dev/null -subj /CN=x -days 1 -out c.pem',"
        " shell=True, check=True, capture_output=True);"
        "print(x509.load_pem_x509_certificate(open('c.pem', 'rb').read()).not_valid_before_utc.timestamp())"
    )
    with lab.clock(offset):
        assert ssh(lab, "(sleep 0.2; date +%s > later) >/dev/null 2>&1 </dev/null & true").returncode == 0
        output = ssh(lab, f'{lab.python} -c "{read_clocks}"')
        assert output.returncode == 0, output.stderr
        for clock in output.stdout.split():
            assert float(clock) == pytest.approx(time.time() + offset, abs=20)
        lab.wait_until_idle("researcher")
        assert float(ssh(lab, "cat later").stdout) == pytest.approx(time.time() + offset, abs=20)
        assert lab.files("researcher") == []
    assert float(ssh(lab, "date +%s").stdout) == pytest.approx(time.time(), abs=20)


def test_the_environment_is_the_same_as_here(lab: Lab) -> None:
    import distributed

    program = "import distributed, bokeh, ase, ssl; print(distributed.__version__)"
    assert ssh(lab, f'{lab.python} -c "{program}"').stdout.strip() == distributed.__version__


def test_the_box_has_no_copy_of_the_checkout(lab: Lab) -> None:
    checkout = Path(__file__).parents[2]
    assert lab.run("researcher", f"ls '{checkout}'", check=False).stdout == ""


def test_a_reboot_takes_everything_but_the_disk(lab: Lab, listener: int) -> None:
    lab.run("researcher", "touch kept /tmp/lost")
    with connect(lab) as before:
        assert before.recv(100)
        lab.reboot()
        before.settimeout(0.2)
        with pytest.raises(TimeoutError):
            before.recv(1)
    assert ssh(lab, "ls kept; ls /tmp").stdout == "kept\n"
    assert lab.processes("neighbour") == []


def test_two_labs_do_not_meet(lab: Lab) -> None:
    with Lab.up() as other:
        assert other.address != lab.address
        with other.network.down():
            assert ssh(lab, "true").returncode == 0
        assert ssh(other, "true").returncode == 0
