"""The other users of both machines: what of ours they see, and what they get from it. It is nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.cluster.certificates import make_certificates
from simmate_remote.testing import EmbeddedHost
from simmate_remote.testing.processes import listening_sockets
from tests.boxes import Box, EmbeddedBox, LabBox
from tests.hosts import host_of, travels
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.ours import session_processes

INTRUDER = Path(__file__).with_name("intruder.py")
NOBODY = 65534
LONG_WORD = re.compile(r"[A-Za-z0-9_=+-]{32,}")
"""A token of ours has 43 characters, a conversation's secret 64; no word of our command lines comes near."""


@travels
def work() -> int:
    return 1


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


def test_no_secret_is_in_sight_on_either_side(box: Box, user_folders: Path) -> None:
    environment = {"LICENCE": "mine-and-nobody-elses"}
    with computing(box, workers={"environment": environment}) as cluster:
        secrets = secrets_of(cluster)
        argv, environ, files = read_everything(box)
        here = [Path(f"/proc/{pid}") for pid in session_processes()]
        argv_here, environ_here = (
            "\n".join((each / name).read_text() for each in here) for name in ("cmdline", "environ")
        )
        files_here = "".join(path.read_text() for path in user_folders.rglob("*") if path.is_file())
        modes = box.run(f"find {places_of(box)} -perm /077 -not -type l").stdout
    assert "keeper.guardian" in argv
    assert "simmate_remote.session" in argv_here
    assert "Start worker" in files
    assert "logging in" in files_here
    for place in (argv, environ, files, argv_here, environ_here, files_here):
        assert [secret for secret in secrets if secret in place] == []
    assert not LONG_WORD.search("\n".join(argv.split("/")))
    assert not LONG_WORD.search("\n".join(argv_here.split("/")))
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
        for name in ("tls, no certificate", "tls, own certificate"):
            assert got[name] == "" or got[name].startswith("!"), (address, got[name])
        assert all(answer.startswith("!") for answer in got.get("dask", [])), (address, got)
    assert set(found["folders"].values()) == {"!PermissionError"}


@pytest.mark.lab
def test_a_neighbour_on_the_host_gets_nothing(lab: Lab) -> None:
    box = LabBox(lab)
    place = "/tmp/intrusion"
    with computing(box) as cluster:
        sockets = addresses(box.sockets())
        folders = lab.run("researcher", "ls -d /tmp/simmate-remote-* /tmp/pymp-* ~").stdout.split()
        assert len(folders) >= 2
        order = {
            "addresses": sockets,
            "folders": folders,
            "marker": f"{place}/marker",
            "certificate": f"{place}/mine.pem",
        }

        def intrude(certificate: str) -> dict[str, Any]:
            lab.run("neighbour", f"mkdir -p {place} && cat > {place}/mine.pem", text=certificate)
            words = [str(lab.python), "-c", INTRUDER.read_text()]
            return dict(json.loads(lab.run("neighbour", words, text=json.dumps(order)).stdout))

        try:
            assert_got_nothing(intrude(client_certificate()), sockets)
            assert not AccountBox(lab, lab.accounts["neighbour"]).outside(f"{place}/marker").exists()
            # The same program gets in with what is kept from it: so it knows how to knock.
            stolen = intrude(client_certificate(cluster))
            assert any("Scheduler" in answer for got in stolen["sockets"].values() for answer in got.get("dask", []))
        finally:
            lab.run("neighbour", f"rm -rf {place}")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user: sudo make test")
def test_another_user_of_this_machine_gets_nothing(user_folders: Path) -> None:
    # As a home often is; what keeps others out must be ours.
    for folder in (user_folders, *user_folders.iterdir()):
        folder.chmod(0o755)
    with EmbeddedHost() as host, computing(EmbeddedBox(host)) as cluster:
        certificate = user_folders / "mine.pem"
        certificate.write_text(client_certificate())
        sockets = addresses(listening_sockets(session_processes()))
        folders = [str(user_folders / "run/simmate-remote"), str(user_folders / "state/simmate-remote/sessions")]
        order = {
            "addresses": sockets,
            "folders": folders,
            "certificate": str(certificate),
            "marker": "/tmp/intrusion-here",
        }
        certificate.chmod(0o644)
        result = subprocess.run(
            [sys.executable, "-c", INTRUDER.read_text(), str(NOBODY)],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        assert_got_nothing(json.loads(result.stdout), sockets)
        gate = urlsplit(cluster.dashboard_link).netloc
        assert json.loads(result.stdout)["sockets"][gate]["http"][1].startswith("HTTP/1.1 403")
    assert not Path("/tmp/intrusion-here").exists()


LISTEN = """
import os, pathlib, socket, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
listening = socket.socket(socket.AF_UNIX)
listening.bind(str(folder / "handover"))
folder.chmod(0o755); (folder / "handover").chmod(0o777)
listening.listen()
print("ready", flush=True)
connection, _ = listening.accept()
print(socket.recv_fds(connection, 64, 8)[0], flush=True)
"""


@pytest.mark.lab
def test_a_neighbour_who_takes_a_dead_keepers_place_is_not_believed(lab: Lab) -> None:
    box = AccountBox.of(lab, "returning")
    place = "/tmp/simmate-remote-before-the-reboot"
    record = json.dumps({"handover": f"{place}/handover"})
    lab.run(
        box.account,
        "mkdir -p -m 700 ~/simmate-remote/keepers && cat > ~/simmate-remote/keepers/lab-box.json",
        text=record,
    )
    thief = lab.popen("neighbour", ["/usr/bin/python3", "-c", LISTEN, place], stdout=subprocess.PIPE)
    assert thief.stdout is not None
    with thief, thief.stdout:
        assert thief.stdout.readline() == "ready\n"
        with computing(box):
            pass
        lab.run("root", f"rm -rf {place}")
        assert thief.stdout.readline() in ("b''\n", "")
        thief.kill()
