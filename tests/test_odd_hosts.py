"""Hosts that are odd, and legal: noisy shells, strict servers, wrong clocks, codes, jumps. All of them work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.link import Ask, Prompt
from simmate_remote.testing import EmbeddedHost
from tests.boxes import Box, EmbeddedBox, assert_nothing_left
from tests.hosts import host_of, travels
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.proxies import config_before

HOUR = 3600
NOISE = "echo 'Welcome to the {cluster}!'; echo 'quota: 93 %' >&2"


@travels
def clock_and_home() -> tuple[float, str]:
    import os
    import time

    return time.time(), os.environ["HOME"]


def compute_on(box: Box, *, ask: Ask | None = None, ssh_config: Path | None = None) -> tuple[float, str]:
    """Connect, compute, leave, see that it took one login and left nothing; give clock and HOME there."""
    config = ssh_config or box.ssh_config
    with RemoteCluster(host_of(box, ssh_config=config), ask=ask) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        found = client.submit(clock_and_home).result(timeout=30)
    assert box.logins() == 1
    assert_nothing_left(box)
    return found


def test_a_banner_and_a_server_that_allows_one_command_and_nothing_else() -> None:
    with EmbeddedHost(banner="Welcome\n\nquota: 93 %", max_sessions=1, allow_forwarding=False) as host:
        assert compute_on(EmbeddedBox(host))[1] == str(host.home)


def test_a_place_for_temporary_files_with_a_long_path(tmp_path: Path) -> None:
    (place := tmp_path / ("t" * 120)).mkdir()
    with EmbeddedHost(environment={"TMPDIR": str(place)}) as host:
        compute_on(EmbeddedBox(host))
    assert not list(place.iterdir())


@pytest.mark.lab
@pytest.mark.parametrize(
    ("name", "shell", "startup"),
    [
        ("bash-user", "/bin/bash", f"{NOISE}\nsleep 2\n"),
        ("tcsh-user", "/bin/tcsh", "echo 'Welcome to the {cluster}'\nsleep 1\n"),
        ("fish-user", "/usr/bin/fish", f"{NOISE}\n"),
    ],
)
def test_login_shells_that_are_noisy_and_slow_in_homes_with_spaces(
    lab: Lab, name: str, shell: str, startup: str
) -> None:
    box = AccountBox.of(lab, name, shell=shell, home=f'/home/{name} of the "lab"', bashrc=startup)
    assert compute_on(box)[1] == box.home


@pytest.mark.lab
@pytest.mark.parametrize(
    "settings",
    [
        {"MaxSessions": 1, "DisableForwarding": "yes"},
        {"MaxSessions": 2, "AllowTcpForwarding": "no", "AllowStreamLocalForwarding": "no", "PermitTTY": "no"},
    ],
    ids=["one-session", "two-sessions"],
)
def test_servers_that_forbid_forwarding_and_further_sessions(lab: Lab, settings: dict[str, object]) -> None:
    with lab.sshd(**settings):
        compute_on(AccountBox(lab, lab.accounts["researcher"]))


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_clock_that_is_an_hour_wrong(lab: Lab, offset: int) -> None:
    with lab.clock(offset):
        there, _ = compute_on(AccountBox(lab, lab.accounts["researcher"]))
    assert there - time.time() == pytest.approx(offset, abs=60)


class Person:
    """Answers what a login asks, and remembers what it was."""

    def __init__(self, **answers: Callable[[], str]) -> None:
        self.answers = {kind.replace("_", "-"): answer for kind, answer in answers.items()}
        self.asked: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> str | None:
        self.asked.append(prompt)
        return self.answers[prompt.kind]()

    @property
    def kinds(self) -> list[str]:
        return [prompt.kind for prompt in self.asked]


@pytest.mark.lab
def test_a_host_that_is_new_and_asks_for_a_password(lab: Lab, tmp_path: Path) -> None:
    box = AccountBox.of(lab, "newcomer", key=False, password="corréct $horse")
    known = tmp_path / "known_hosts"
    before = "# mine\nother.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRvbm90IHRydXN0IHRoaXMga2V5LCBldmVyISE=\n"
    known.write_text(before)
    config = config_before(box, tmp_path, UserKnownHostsFile=known, StrictHostKeyChecking="ask")
    person = Person(host_key=lambda: "yes", password=lambda: "corréct $horse")
    compute_on(box, ask=person, ssh_config=config)
    assert person.kinds == ["host-key", "password"]
    assert "SHA256:" in person.asked[0].detail
    appended = known.read_text().removeprefix(before).splitlines()
    assert len(appended) == 1
    assert appended[0].startswith(f"{lab.address} ssh-ed25519 ")


@pytest.mark.lab
def test_a_one_time_code_is_typed_once(lab: Lab) -> None:
    with lab.one_time_codes("publickey,keyboard-interactive"):
        person = Person(code=lambda: lab.next_code("researcher"))
        compute_on(AccountBox(lab, lab.accounts["researcher"]), ask=person)
    assert person.kinds == ["code"]


@pytest.mark.lab
def test_a_host_behind_a_jump_host(lab: Lab, tmp_path: Path) -> None:
    box = AccountBox.of(lab, "inside")
    config = config_before(box, tmp_path, HostName="127.0.0.1", HostKeyAlias=lab.address, ProxyJump="lab-neighbour")
    mark = lab.mark()
    with RemoteCluster(host_of(box, ssh_config=config)) as cluster, Client(cluster) as client:
        assert client.submit(abs, -2).result(timeout=30) == 2
    assert [login.user for login in lab.server.logins(mark)] == ["neighbour", "inside"]
    assert_nothing_left(box)
