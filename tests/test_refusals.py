"""Every way in which ``connect`` fails: the right error, soon, with a way out, and nothing is left at either end."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh
import distributed
import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.cli.app import COMMANDS
from simmate_remote.errors import (
    ClusterError,
    ConnectionRefusedByHostError,
    DistributedMissingError,
    ForbiddenByServerError,
    HostKeyChangedError,
    KeeperError,
    NameNotResolvedError,
    RemotePythonError,
    SchedulerError,
    SimmateRemoteError,
    VersionMismatchError,
    WorkersError,
)
from simmate_remote.inventory import Duration
from tests.boxes import Box, assert_nothing_left
from tests.hosts import host_of
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.ours import assert_nothing_left_here
from tests.proxies import address_of, breaking_proxy, config_before

LEASE_END = 45.0  # the short lease is 10 s, and a loaded machine is slow
SOON = 15.0  # seconds; where nothing has to be waited for, it is about one


def fails(
    box: Box,
    error: type[SimmateRemoteError],
    *words: str,
    soon: float = SOON,
    compute: bool = False,
    **fields: Any,
) -> SimmateRemoteError:
    """Connect in vain: see that the error is a good one, comes soon, and that nothing is left.

    Args:
        box: Where to.
        error: What shall be raised.
        words: What its text shall mention.
        soon: Seconds within which it shall come.
        compute: Whether the failure shows only when work is waited for.
        fields: Of the inventory's entry.
    """
    host = host_of(box, **fields)
    begin = time.monotonic()
    with pytest.raises(error) as caught, RemoteCluster(host) as cluster, Client(cluster) as client:  # noqa: PT012
        if compute:
            client.submit(abs, -1).result(timeout=soon)
    assert time.monotonic() - begin < soon
    told = caught.value
    assert told.host == "lab-box"
    for word in words:
        assert word in str(told)
    assert told.remedies
    for remedy in told.remedies:
        program, *rest = remedy.command.split()
        assert rest[0] in COMMANDS if program == "simmate-remote" else shutil.which(program)
    assert_nothing_left_here()
    assert_nothing_left(box)
    return told


def fake_environment(box: Box, name: str, *, distributed: str | None = None, python: str | None = None) -> str:
    """Make an environment on a box that claims other versions, and give its folder."""
    folder = f"{box.home}/{name}"
    packages = f"{folder}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    lines = [f"'{box.python}' -m venv --clear --without-pip '{folder}'"]
    if distributed is not None:
        info = f"{packages}/distributed-{distributed}.dist-info"
        metadata = f"Metadata-Version: 2.1\\nName: distributed\\nVersion: {distributed}\\n"
        lines += [f"mkdir '{packages}/distributed' '{info}'", f"touch '{packages}/distributed/__init__.py'"]
        lines += [f"printf '{metadata}' > '{info}/METADATA'"]
    if python is not None:
        version = ", ".join(python.split("."))
        claim = f'import sys; sys.version_info = ({version}, "final", 0)\\n'
        lines += [f"printf '{claim}' > '{packages}/claim.pth'"]
    result = box.run(" && ".join(lines))
    assert result.returncode == 0, result.stderr
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The way there


def test_a_name_that_does_not_resolve(box: Box, tmp_path: Path) -> None:
    config = config_before(box, tmp_path, HostName="no-such-host.invalid")
    fails(box, NameNotResolvedError, "no-such-host.invalid", ssh_config=config)
    assert box.logins() == 0


def test_a_port_that_refuses(box: Box, tmp_path: Path) -> None:
    config = config_before(box, tmp_path, HostName="127.0.0.1", Port=free_port())
    fails(box, ConnectionRefusedByHostError, "refuses the connection", ssh_config=config)


def test_a_host_key_that_changed(box: Box, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known.write_text(f"the-box {key}")
    config = config_before(box, tmp_path, HostKeyAlias="the-box", UserKnownHostsFile=known)
    told = fails(box, HostKeyChangedError, "shows another key", f"ssh-keygen -f {known} -R the-box", ssh_config=config)
    assert told.meanwhile is not None
    assert box.logins() == 0


# The Python there


def test_no_python_there(box: Box) -> None:
    fails(box, RemotePythonError, "no Python was found", python="/nowhere/bin/python")


def test_a_python_that_is_too_old(box: Box) -> None:
    python = fake_environment(box, "old", python="3.9.2")
    fails(box, RemotePythonError, "python is 3.9.2", "3.11 is needed", python=python)


def test_a_python_that_does_not_run(box: Box) -> None:
    made = box.run("printf '#!/nowhere\\n' > ~/'broken python' && chmod 700 ~/'broken python'")
    assert made.returncode == 0
    fails(box, RemotePythonError, "does not run", "broken python", python="~/broken python")


def test_a_python_without_distributed(box: Box) -> None:
    fails(box, DistributedMissingError, "no distributed", python=fake_environment(box, "bare"))


def test_a_python_of_another_minor_version(box: Box) -> None:
    newer = f"{sys.version_info[0]}.{sys.version_info[1] + 1}"
    python = fake_environment(box, "newer", distributed=distributed.__version__, python=f"{newer}.0")
    here = f"{sys.version_info[0]}.{sys.version_info[1]} here"
    fails(box, RemotePythonError, f"Python is {newer} there", here, python=python)


def test_a_distributed_that_cannot_work_with_ours(box: Box) -> None:
    python = fake_environment(box, "other", distributed="2024.1.0")
    fails(box, VersionMismatchError, "2024.1.0 there", f"{distributed.__version__} here", python=python)


# The account there


def test_a_folder_that_cannot_be_made(box: Box) -> None:
    assert box.run("touch ~/taken").returncode == 0
    fails(box, KeeperError, "NotADirectoryError", "taken", folder="~/taken/simmate-remote")


@pytest.mark.lab
def test_a_folder_on_a_full_disk(lab: Lab) -> None:
    box = AccountBox.of(lab, "full")
    place = f"{box.home}/disk"
    owner = lab.accounts[box.account].uid
    lab.run("root", f"mkdir {place} && mount -t tmpfs -o size=64k,uid={owner},mode=700 none {place}")
    try:
        fails(box, KeeperError, "No space left on device", folder=f"{place}/simmate-remote")
        assert box.run(f"ls -A {place}/simmate-remote/packages").stdout == ""
    finally:
        lab.run("root", f"umount {place}")


@pytest.mark.lab
def test_a_home_that_cannot_be_written(lab: Lab) -> None:
    box = AccountBox.of(lab, "guest")
    assert box.run("chmod 500 ~").returncode == 0
    fails(box, KeeperError, "PermissionError")


@pytest.mark.lab
@pytest.mark.parametrize("command", ["echo this account is for backups", "internal-sftp"])
def test_a_command_that_the_server_forces(lab: Lab, command: str) -> None:
    with lab.sshd(ForceCommand=command):
        told = fails(AccountBox(lab, lab.accounts["researcher"]), ForbiddenByServerError, "ended at once")
    assert command.startswith("internal") or "for backups" in str(told)


@pytest.mark.lab
def test_an_account_that_may_not_log_in(lab: Lab) -> None:
    box = AccountBox.of(lab, "service", shell="/usr/sbin/nologin")
    fails(box, ForbiddenByServerError, "not available")


# What shall run there


def test_a_worker_environment_in_which_no_python_starts(box: Box) -> None:
    workers = {"environment": {"PYTHONHOME": "/nowhere"}}
    fails(box, ClusterError, "nursery", "/nowhere", compute=True, workers=workers)


def test_a_worker_that_cannot_start(box: Box) -> None:
    workers = {"environment": {"DASK_DISTRIBUTED__NANNY__PRELOAD": "no_such_module"}, "count": 1}
    fails(box, WorkersError, "no_such_module", soon=30.0, compute=True, workers=workers)


def test_a_scheduler_that_cannot_start(box: Box) -> None:
    workers = {"environment": {"DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "no_such_module"}}
    fails(box, SchedulerError, "no_such_module", workers=workers)


# The line breaks on the way


BREAKS = [0, 1_000, 4_000, 7_600, 9_000, 60_000, 150_000, 190_000, 195_000, 200_000]
"""Bytes after which the line breaks: in the login (to 7,500), while the keeper comes (to 193,000), in the start."""


async def connect_over_a_line_that_breaks(box: Box, folder: Path, limit: int, *, silent: bool) -> str:
    """Connect in vain, and give the name of the error."""
    target = address_of(box)
    with breaking_proxy(target, limit, silent=silent) as proxy:
        known_as = target[0] if target[1] == 22 else f"[{target[0]}]:{target[1]}"
        config = config_before(box, folder, HostName="127.0.0.1", Port=proxy.port, HostKeyAlias=known_as)
        host = host_of(box, ssh_config=config, folder=f"~/{folder.name}", connect_timeout=Duration(5))
        with pytest.raises(SimmateRemoteError) as caught:
            await RemoteCluster(host, asynchronous=True)
        assert proxy.broke.is_set()
        assert caught.value.host == "lab-box"
        return type(caught.value).__name__


@pytest.mark.slow_in_the_lab
async def test_a_line_that_breaks_while_connecting(box: Box, tmp_path: Path) -> None:
    begin = time.monotonic()
    silent = box.name == "lab"  # the one kind of break with the one kind of host, and so both with both parts
    async with asyncio.timeout(45), asyncio.TaskGroup() as group:
        for limit in BREAKS:
            folder = tmp_path / f"broken-{limit}"
            folder.mkdir()
            group.create_task(connect_over_a_line_that_breaks(box, folder, limit, silent=silent))
    assert time.monotonic() - begin < 45
    assert_nothing_left_here()
    # A keeper that had started before the line broke ends by its lease.
    await asyncio.to_thread(wait_until_empty, box)
    assert_nothing_left(box)


def wait_until_empty(box: Box) -> None:
    deadline = time.monotonic() + LEASE_END
    while box.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
