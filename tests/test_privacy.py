"""The other users of both machines: what of ours they see, and what they get from it. It is nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.cluster.certificates import make_certificates
from simmate_remote.inventory import Host
from simmate_remote.keeper.host.record import Record
from simmate_remote.session.client import find
from simmate_remote.testing import EmbeddedHost
from simmate_remote.testing.processes import listening_sockets
from tests.boxes import Box, EmbeddedBox, LabBox
from tests.hosts import host_of, travels, wait_until
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.ours import session_processes

INTRUDER = Path(__file__).with_name("intruder.py")
NOBODY = 65534
LONG_WORD = re.compile(r"[A-Za-z0-9_=+-]{32,}")
"""A token of ours has 43 characters, a conversation's secret 64; no word of our command lines comes near."""


NONCE = re.compile(r"[0-9a-f]{32}")
"""What each line of the first dialogue begins with: it stands on a command line during a login, and opens nothing."""

CONVERSATION = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""What the secret of a conversation looks like; nobody but the two processes that share it can know the one."""


@travels
def work() -> int:
    return 1


@travels
def work_for(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


def state_of(host: Host) -> str:
    """Ask a session for its state."""

    async def ask() -> str:
        session = await find(host)
        try:
            return str((await session.status())["state"])
        finally:
            session.close()
            await session.wait_closed()

    return asyncio.run(ask())


@contextmanager
def computing(box: Box, **fields: Any) -> Iterator[RemoteCluster]:
    """Have a cluster that has computed something, with all that it listens on."""
    with RemoteCluster(host_of(box, **fields)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        assert client.submit(work).result(timeout=30) == 1
        yield cluster


def secrets_of(cluster: RemoteCluster) -> list[str]:
    """Give what nobody else may see: lines of keys and certificates, and the dashboard's token."""
    pems = "".join(str(value) for value in cluster._access["security"].values())
    lines = [line for line in pems.splitlines() if len(line) > 40]
    return [*lines, parse_qs(urlsplit(cluster.dashboard_link).query)["token"][0], "PRIVATE KEY", "BEGIN CERT"]


def places_of(box: Box) -> str:
    """Give the folders that hold files of ours on a box, as words for a shell."""
    runtime = {str(Path(address).parent) for kind, address in addresses(box.sockets()) if kind == "unix"}
    assert any(folder.startswith("/tmp/simmate-remote-") for folder in runtime)
    return " ".join(["~/simmate-remote", *sorted(runtime)])


def read_everything(box: Box) -> tuple[str, str, str]:
    """Read command lines, environments and files of ours on a box, as their owner."""
    pids = [pid for pid, _ in box.processes()]
    find = f"find {places_of(box)} -type f -not -path '*/packages/*' -exec cat {{}} +"
    commands = [" ".join(["cat", *(f"/proc/{pid}/{name}" for pid in pids)]) for name in ("cmdline", "environ")]
    argv, environ, files = (
        box.run(f"{command} | tr '\\0' '\\n' | tr -cd '\\n -~'").stdout for command in (*commands, find)
    )
    return argv, environ, files


def read_proc_here(name: str) -> str:
    """Read a file of every process of this machine that can be read: as root, of all."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # somebody else's, or it ended while we looked
            found.append((process / name).read_text(errors="replace"))
    return "\n".join(found)


@pytest.mark.slow_in_the_lab
def test_no_secret_is_in_sight_on_either_side_not_even_after_an_outage(box: Box, user_folders: Path) -> None:
    environment = {"LICENCE": "mine-and-nobody-elses"}
    with computing(box, workers={"environment": environment}) as cluster:
        box.cut()
        wait_until(lambda: box.logins() == 2, 30, "the host was reached again")
        secrets_of_session = secrets_of(cluster)
        argv, environ, files = read_everything(box)
        argv_of_all, environ_of_all = read_proc_here("cmdline"), read_proc_here("environ")
        here = [Path(f"/proc/{pid}") for pid in session_processes()]
        argv_here, environ_here = (
            "\n".join((each / name).read_text() for each in here) for name in ("cmdline", "environ")
        )
        files_here = "".join(path.read_text() for path in user_folders.rglob("*") if path.is_file())
        modes = box.run(f"find {places_of(box)} -perm /077 -not -type l").stdout
    assert "keeper.host.guardian" in argv
    assert "simmate_remote.session" in argv_here
    assert argv_here in argv_of_all
    assert "Start worker" in files
    assert "logging in" in files_here
    assert "the link was lost" in files_here
    for place in (argv, environ, files, argv_of_all, environ_of_all, files_here):
        assert [secret for secret in secrets_of_session if secret in place] == []
    assert CONVERSATION.fullmatch(secrets.token_hex(32))
    for place in (argv, environ, files, argv_here, environ_here, files_here):
        assert not CONVERSATION.search(place)
    assert [
        word for word in LONG_WORD.findall(f"{argv}\n{argv_here}".replace("/", "\n")) if not NONCE.fullmatch(word)
    ] == []
    assert "mine-and-nobody-elses" not in argv + files + argv_here + files_here
    # Dask hands its configuration to a child in this variable, or in one for each field.
    assert "DASK_" not in environ + environ_here
    assert modes == ""


@pytest.mark.lab
def test_no_password_is_in_sight(lab: Lab, user_folders: Path) -> None:
    password = "swordfish-0815"
    box = AccountBox.of(lab, "secretive", key=False, password=password)

    async def answer(prompt: object) -> str:
        return password

    with RemoteCluster(host_of(box), ask=answer) as cluster, Client(cluster) as client:
        assert client.submit(work).result(timeout=30) == 1
        seen = "".join(read_everything(box))
        for pid in session_processes():
            seen += Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
        seen += "".join(path.read_text() for path in user_folders.rglob("*") if path.is_file())
    assert "logging in" in seen
    assert password not in seen


def addresses(sockets: Iterable[Any]) -> list[tuple[str, str]]:
    """Take kind and address of sockets that a box, or this machine, listens on."""
    return sorted({(getattr(each, "kind", None) or each.family, each.address) for each in sockets})


def assert_private(found: list[tuple[str, str]]) -> None:
    """Fail unless each socket is of the loopback interface, or a file."""
    assert found
    for kind, address in found:
        assert address.startswith("127.0.0.1:") if kind == "tcp" else address.startswith("/"), address


def test_every_socket_is_of_the_loopback_interface_or_a_file(box: Box) -> None:
    with computing(box):
        there, here = addresses(box.sockets()), addresses(listening_sockets(session_processes()))
    assert_private(there)
    assert_private(here)
    kinds = [kind for kind, _ in there]
    assert kinds.count("tcp") == 5  # the scheduler, two nannies, their workers: no HTTP
    assert [kind for kind, _ in here] == [
        "tcp",
        "tcp",
        "unix",
    ]  # the scheduler's and the gate's port, the control socket


def client_certificate(stolen_from: RemoteCluster | None = None) -> str:
    """Give a key and a certificate that anybody can make; or, to see that the intruder could get in, a stolen one."""
    made = make_certificates().client() if stolen_from is None else stolen_from._access["security"]
    return f"{made['tls_client_key']}{made['tls_client_cert']}"


def assert_got_nothing(found: dict[str, Any], sockets: list[tuple[str, str]]) -> None:
    """Fail if a co-user got an answer that says or does anything."""
    assert found["uid"] not in (0, os.getuid())
    assert list(found["sockets"]) == [address for _, address in sockets]
    for kind, address in sockets:
        got = found["sockets"][address]
        if kind == "unix":
            assert got["silence"] in ("!PermissionError", "!FileNotFoundError"), address
        for answer in got["http"]:
            assert answer == "" or answer.startswith(("!", "HTTP/1.1 403")), (address, answer)
        for name in ("carrier", "call"):
            # The gate says that it is no page, to whatever is no HTTP.
            assert got[name] == "" or got[name].startswith(("!", "HTTP/1.1 4")), (address, got[name])
        for name in ("tls, no certificate", "tls, own certificate"):
            assert got[name] == "" or got[name].startswith("!"), (address, got[name])
        assert all(answer.startswith("!") for answer in got.get("dask", [])), (address, got)
    assert set(found["folders"].values()) == {"!PermissionError"}


@contextmanager
def intruding_there(lab: Lab, user: str, sockets: list[tuple[str, str]]) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Give a function that plays a user of the lab's host, who holds a certificate, against sockets there."""
    place = f"/tmp/intrusion-of-{user}"
    folders = lab.run("researcher", "ls -d /tmp/simmate-remote-* ~").stdout.split()
    assert len(folders) >= 2
    order = {
        "addresses": sockets,
        "folders": folders,
        "marker": f"{place}/marker",
        "certificate": f"{place}/mine.pem",
    }

    def intrude(certificate: str) -> dict[str, Any]:
        lab.run(user, f"mkdir -p {place} && cat > {place}/mine.pem", text=certificate)
        words = [str(lab.python), "-c", INTRUDER.read_text()]
        return dict(json.loads(lab.run(user, words, text=json.dumps(order)).stdout))

    try:
        yield intrude
        if user == "neighbour":
            assert not AccountBox(lab, lab.accounts[user]).outside(f"{place}/marker").exists()
    finally:
        lab.run(user, f"rm -rf {place}")


def intrude_here(folder: Path, sockets: list[tuple[str, str]]) -> dict[str, Any]:
    """Play another user of this machine, who holds a certificate, against sockets here."""
    certificate = folder / "mine.pem"
    certificate.write_text(client_certificate())
    certificate.chmod(0o644)
    order = {
        "addresses": sockets,
        "folders": [str(folder / "run/simmate-remote"), str(folder / "state/simmate-remote/sessions")],
        "certificate": str(certificate),
        "marker": "/tmp/intrusion-here",
    }
    result = subprocess.run(
        [sys.executable, "-c", INTRUDER.read_text(), str(NOBODY)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert not Path("/tmp/intrusion-here").exists()
    return dict(json.loads(result.stdout))


@pytest.fixture
def open_folders(user_folders: Path) -> Path:
    """Let others pass through this test's folders, as a home often does; what keeps them out must be ours."""
    for folder in (user_folders, *user_folders.iterdir()):
        folder.chmod(0o755)
    return user_folders


@pytest.mark.lab
def test_a_neighbour_on_the_host_gets_nothing(lab: Lab) -> None:
    box = LabBox(lab)
    with computing(box) as cluster:
        sockets = addresses(box.sockets())
        assert {"carrier", "handover"} <= {Path(address).name for _, address in sockets}
        with intruding_there(lab, "neighbour", sockets) as intrude:
            assert_got_nothing(intrude(client_certificate()), sockets)
            # The same program gets in with what is kept from it: so it knows how to knock.
            stolen = intrude(client_certificate(cluster))
            assert any("Scheduler" in answer for got in stolen["sockets"].values() for answer in got.get("dask", []))
        with intruding_there(lab, "researcher", [each for each in sockets if each[1].endswith("/carrier")]) as intrude:
            (got,) = intrude(client_certificate())["sockets"].values()
            assert got["carrier"].startswith("\x02"), "its own user is welcome"


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user: sudo make test")
def test_another_user_of_this_machine_gets_nothing(open_folders: Path) -> None:
    with EmbeddedHost() as host, computing(EmbeddedBox(host)) as cluster:
        sockets = addresses(listening_sockets(session_processes()))
        found = intrude_here(open_folders, sockets)
        assert_got_nothing(found, sockets)
        gate = urlsplit(cluster.dashboard_link).netloc
        assert found["sockets"][gate]["http"][1].startswith("HTTP/1.1 403")


@pytest.mark.lab
@pytest.mark.slow
def test_neighbours_on_both_sides_get_nothing_while_the_link_is_down(
    lab: Lab, lab_box: Box, open_folders: Path
) -> None:
    host = host_of(lab_box)
    with computing(lab_box) as cluster, Client(cluster) as client:
        future = client.submit(work_for, 5, pure=False)
        lab.network.down()
        try:
            wait_until(lambda: state_of(host) == "reconnecting", 30, "the silence was noticed")
            there, here = addresses(lab_box.sockets()), addresses(listening_sockets(session_processes()))
            assert_private(there)
            assert_private(here)
            with intruding_there(lab, "neighbour", there) as intrude:
                assert_got_nothing(intrude(client_certificate()), there)
            found = intrude_here(open_folders, here)
            assert_got_nothing(found, here)
            # They are not kept waiting for the link either: nothing that they send is kept for it.
            port = cluster.scheduler_address.removeprefix("tls://")
            assert all(answer.startswith("!Connection") or answer == "" for answer in found["sockets"][port]["http"])
        finally:
            lab.network.up()
        assert future.result(timeout=60) == 5
        wait_until(lambda: state_of(host) == "connected", 30, "the link was back")


LISTEN = """
import os, pathlib, socket, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
listening = socket.socket(socket.AF_UNIX)
listening.bind(str(folder / "handover"))
folder.chmod(0o755); (folder / "handover").chmod(0o777)
listening.listen()
listening.settimeout(40)
print("ready", flush=True)
connection, _ = listening.accept()
print("somebody knocked", flush=True)
print(socket.recv_fds(connection, 64, 8)[0], flush=True)
"""


@pytest.mark.lab
def test_a_neighbour_who_takes_a_dead_keepers_place_is_not_believed(lab: Lab) -> None:
    box = AccountBox.of(lab, "returning")
    place = "/tmp/simmate-remote-before-the-reboot"
    record = Record("lab-box", "before", 1, 1.0, "0", "p", f"{place}/handover", f"{place}/carrier", place)
    lab.run(
        box.account,
        "mkdir -p -m 700 ~/simmate-remote/keepers && cat > ~/simmate-remote/keepers/lab-box.json",
        text=json.dumps(record._asdict()),
    )
    thief = lab.popen("neighbour", ["/usr/bin/python3", "-c", LISTEN, place], stdout=subprocess.PIPE)
    assert thief.stdout is not None
    with thief, thief.stdout:
        assert thief.stdout.readline() == "ready\n"
        with computing(box):
            pass
        lab.run("root", f"rm -rf {place}")
        assert thief.stdout.readline() == "somebody knocked\n"
        assert thief.stdout.readline() in ("b''\n", "")
        thief.kill()
