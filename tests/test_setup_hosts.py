"""``setup`` on hosts that are odd, and legal, and on those where it cannot work: with a real sshd, and no internet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simmate_remote.environment.setup import Feedback, SetupReport, Wish, remove
from simmate_remote.errors import (
    AnswerNeededError,
    DistributedMissingError,
    HostDiskFullError,
    HostKeyUnknownError,
    SetupError,
)
from simmate_remote.link import Prompt
from tests.boxes import assert_nothing_left
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.proxies import config_before
from tests.setups import Here, bare, bring

pytestmark = pytest.mark.lab

QUIET = Feedback(lambda _: None, lambda sent, total: None, None)
NOISE = "echo 'Welcome to the {cluster}!'; echo 'quota: 93 %' >&2"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """Give a small environment with one distribution."""
    here = Here(tmp_path / "here")
    here.install("tiny", "1.0")
    return here


def works(box: AccountBox, folder: str = "~/simmate-remote") -> bool:
    done = box.run(f"{folder}/environment/bin/python -c 'import tiny; print(tiny.version)'")
    return done.stdout == "1.0\n"


@pytest.mark.parametrize(
    ("name", "shell", "startup"),
    [
        ("setup-bash", "/bin/bash", f"{NOISE}\nsleep 1\n"),
        ("setup-tcsh", "/bin/tcsh", "echo 'Welcome to the {cluster}'\n"),
        ("setup-fish", "/usr/bin/fish", f"{NOISE}\n"),
    ],
)
async def test_noisy_login_shells_in_homes_with_spaces(
    lab: Lab, here: Here, name: str, shell: str, startup: str
) -> None:
    box = AccountBox.of(lab, name, shell=shell, home=f'/home/{name} of the "lab"', bashrc=startup)
    assert (await bring(box, here)).changed
    assert works(box)
    assert not (await bring(box, here)).changed
    assert (await remove(bare(box), QUIET)).changed
    assert_nothing_left(box)


@pytest.mark.parametrize(
    "settings",
    [
        {"MaxSessions": 1, "DisableForwarding": "yes", "PermitTTY": "no", "Subsystem": "sftp /bin/false"},
        {"Ciphers": "aes256-ctr", "Compression": "no"},
    ],
    ids=["one-session-no-sftp", "one-cipher"],
)
async def test_servers_that_allow_little(lab: Lab, here: Here, settings: dict[str, object]) -> None:
    box = AccountBox.of(lab, f"setup-strict-{len(settings)}")
    with lab.sshd(**settings):
        assert (await bring(box, here)).changed
        assert works(box)
        await remove(bare(box), QUIET)


async def test_a_home_that_is_read_only_and_a_folder_elsewhere(lab: Lab, here: Here) -> None:
    box = AccountBox.of(lab, "setup-readonly")
    lab.run("root", f"chown root:root {box.home} && chmod 755 {box.home}")
    with pytest.raises(SetupError, match="nothing may be written to") as caught:
        await bring(box, here)
    assert "`folder:` names another place" in str(caught.value)
    elsewhere = "/tmp/setup scratch"
    assert (await bring(box, here, folder=elsewhere)).changed
    assert works(box, "'/tmp/setup scratch'")
    await remove(bare(box, folder=elsewhere), QUIET)
    assert lab.files("setup-readonly") == []


@pytest.mark.slow
async def test_a_disk_that_is_full_leaves_the_old_environment(lab: Lab, here: Here) -> None:
    box = AccountBox.of(lab, "setup-full")
    uid = lab.accounts["setup-full"].uid
    small = "/tmp/setup-full"
    lab.run("root", f"mkdir {small} && mount -t tmpfs -o size=80m,uid={uid},mode=700 tmpfs {small}")
    try:
        folder = f"{small}/ours"
        await bring(box, here, folder=folder)
        here.install("bulky", "1.0", content=b"# " + os.urandom(40_000_000).hex().encode())
        with pytest.raises(HostDiskFullError, match="full, or your quota is used up") as caught:
            await bring(box, here, folder=folder)
        assert "the environment takes" in str(caught.value)  # and nothing was sent
        # There is space for what the wheel holds, but not for both: as with a quota, the writing itself fails.
        here.install("bulky", "1.0", content=b"# " + os.urandom(14_000_000).hex().encode())
        for _ in range(2):
            with pytest.raises(HostDiskFullError, match="full, or your quota is used up"):
                await bring(box, here, folder=folder)
            assert works(box, folder)
        assert box.run(f"ls -A {folder}/building").stdout == ""
        assert len(box.run(f"ls -A {folder}/wheels").stdout.split()) == 1
        lab.run("root", f"mount -o remount,size=200m {small}")
        assert (await bring(box, here, folder=folder)).changed
    finally:
        lab.run("root", f"umount {small} && rmdir {small}")


class Person:
    """Answers what is asked, by kind, and remembers it."""

    def __init__(self, **answers: str) -> None:
        self.answers = {kind.replace("_", "-"): answer for kind, answer in answers.items()}
        self.asked: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> str | None:
        self.asked.append(prompt)
        return self.answers.get(prompt.kind)

    @property
    def kinds(self) -> list[str]:
        return [prompt.kind for prompt in self.asked]


async def test_a_password_is_typed_once_and_then_a_key_logs_in(lab: Lab, here: Here, tmp_path: Path) -> None:
    box = AccountBox.of(lab, "setup-password", key=False, password="corréct $horse")
    key = tmp_path / "keys/new_key"
    config = config_before(
        box,
        tmp_path,
        UserKnownHostsFile=tmp_path / "known_hosts",
        StrictHostKeyChecking="ask",
        PubkeyAuthentication="yes",
        IdentityFile=key,
    )

    async def enrolled(person: Person | None, **wish: bool) -> SetupReport:
        return await bring(box, here, ask=person, wish=Wish(**wish), ssh_config=config)  # type: ignore[arg-type]

    with pytest.raises(HostKeyUnknownError):
        await enrolled(None)
    stranger = Person(host_key="no")
    with pytest.raises(HostKeyUnknownError):
        await enrolled(stranger)
    assert "SHA256:" in stranger.asked[0].detail
    unsure = Person(host_key="yes", password="corréct $horse", consent="no")
    assert (await enrolled(unsure)).key == "declined"
    assert unsure.kinds == ["host-key", "password", "consent"]
    assert not key.exists()

    sure = Person(password="corréct $horse", consent="yes")
    report = await enrolled(sure)
    assert report.key == "installed"
    assert sure.kinds == ["password", "consent"]
    assert key.stat().st_mode & 0o777 == 0o600
    assert lab.run("setup-password", "stat -c %a ~/.ssh ~/.ssh/authorized_keys").stdout.split() == ["700", "600"]
    assert (await enrolled(None)).key == "not needed"
    # Again with the key hidden: it is installed once.
    lab.run("setup-password", "echo '# mine' >>~/.ssh/authorized_keys")
    lines = lab.run("setup-password", "cat ~/.ssh/authorized_keys").stdout.splitlines()
    assert len(lines) == 2
    await remove(bare(box, ssh_config=config), QUIET)


async def test_without_a_person_a_password_cannot_be_asked(lab: Lab, here: Here) -> None:
    box = AccountBox.of(lab, "setup-nobody", key=False, password="secret")
    with pytest.raises(AnswerNeededError):
        await bring(box, here)


async def test_a_one_time_code_is_typed_once(lab: Lab, here: Here) -> None:
    box = AccountBox.of(lab, "setup-code")
    with lab.one_time_codes("publickey,keyboard-interactive"):
        person = Person(code=lab.next_code("setup-code"))
        report = await bring(box, here, ask=person)
    assert person.kinds == ["code"]
    assert report.key == "not needed"
    await remove(bare(box), QUIET)


async def test_a_host_behind_a_jump_host_and_one_behind_a_command(lab: Lab, here: Here, tmp_path: Path) -> None:
    box = AccountBox.of(lab, "setup-inside")
    config = config_before(box, tmp_path, HostName="127.0.0.1", HostKeyAlias=lab.address, ProxyJump="lab-neighbour")
    mark = lab.mark()
    assert (await bring(box, here, ssh_config=config)).changed
    assert [login.user for login in lab.server.logins(mark)] == ["neighbour", "setup-inside"]
    command = f"ssh -F {box.ssh_config} -W %h:%p lab-neighbour"
    config = config_before(box, tmp_path, HostName="127.0.0.1", HostKeyAlias=lab.address, ProxyCommand=command)
    assert not (await bring(box, here, ssh_config=config)).changed
    await remove(bare(box), QUIET)


@pytest.mark.slow
@pytest.mark.timeout(600)
# A minimal environment has no pandas, and here there may be one for other reasons: Dask mentions it.
@pytest.mark.filterwarnings("ignore:Mismatched versions found")
def test_the_real_thing_on_a_bare_account(lab: Lab, tmp_path: Path) -> None:
    """The environment of this checkout, by the command line; then connect, and a task, in it."""
    import subprocess
    import sys

    from distributed import Client

    from simmate_remote import RemoteCluster
    from tests.hosts import host_of, travels

    box = AccountBox.of(lab, "setup-real")
    inventory = tmp_path / "hosts"
    inventory.mkdir()
    (inventory / "bare.yaml").write_text(f"ssh: {box.alias}\nssh_config: {box.ssh_config}\n")
    environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(inventory)}

    def setup(*words: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", "from simmate_remote.cli.app import main; main()", "setup", "bare", *words]
        return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300, check=False)

    with pytest.raises(DistributedMissingError) as refused:
        RemoteCluster(host_of(box, python=None, name="bare"))
    assert refused.value.remedies[0].command == "simmate-remote setup bare"
    assert setup("--only", "simmate-remote", "--check").returncode == 1
    made = setup("--only", "simmate-remote")
    assert made.returncode == 0, made.stdout + made.stderr

    @travels
    def where() -> tuple[str, str]:
        import sys

        import numpy as np

        return sys.executable, str(np.__file__)

    with RemoteCluster(host_of(box, python=None)) as cluster, Client(cluster) as client:
        executable, module = client.submit(where).result(timeout=60)
    assert executable.startswith(f"{box.home}/simmate-remote/environments/")
    assert module.startswith(f"{box.home}/simmate-remote/environments/")
    assert_nothing_left(box)
    assert setup("--remove").returncode == 0
    assert_nothing_left(box)
