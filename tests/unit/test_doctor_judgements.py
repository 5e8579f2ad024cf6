"""What checks make of what a host tells, where a test cannot have such a host."""

from __future__ import annotations

from typing import Any

import pytest

from simmate_remote import errors
from simmate_remote.doctor.check import Check
from simmate_remote.doctor.checks.host import Limits, Logout
from simmate_remote.doctor.checks.machine import Cores, Gpus, Load, LoginNode, Memory, Users, Workers
from simmate_remote.doctor.checks.storage import Home
from simmate_remote.doctor.finding import Finding, worst
from simmate_remote.doctor.host.quota import parse_quota
from simmate_remote.doctor.host.survival import configured
from simmate_remote.doctor.registry import ORDER
from simmate_remote.errors import Remedy, SimmateRemoteError
from simmate_remote.inventory import Host
from tests.examinations import Told

HOST = Host(name="lab-box", ssh="lab")
CORES = Finding.ok("8", all=8, allowed=8, usable=8.0)
MEMORY = Finding.ok("", total=32 * 10**9, available=30 * 10**9, limit=None)
PLACE = {
    "path": "/home/me",
    "exists": True,
    "tried": "/home/me",
    "mount": "/home",
    "type": "nfs4",
    "free": 10**12,
    "size": 10**12,
    "inodes": 10**7,
    "inodes_free": 10**6,
    "write": None,
    "flock": None,
    "lockf": None,
    "socket": None,
    "seconds": 0.1,
}
LOGOUT: dict[str, Any] = {"warnings": [], "killers": [], "configured": None, "lingers": False, "prefix": []}
LIMITS = dict.fromkeys(
    ("processes", "files", "cpu_seconds", "address_space", "file_size", "group_processes", "group_memory")
)
USERS: dict[str, Any] = {"others": 1, "hidden": False, "named": [{"name": "anne", "cores": 7.0}], "others_cores": 7.0}
NO_GPUS: dict[str, Any] = {"devices": [], "amd": False, "gpus": [], "complaint": None}


@pytest.mark.parametrize(
    ("check", "answers", "status", "words"),
    [
        (Load(), {"load": [16.0, 14.0, 9.0]}, "warning", "14.0"),
        (Load(), {"load": [16.0, 8.0, 9.0]}, "ok", "8.0"),
        (Memory(), {"memory": {"total": 8e9, "available": 5e8, "limit": None}}, "warning", "500 MB of 8.0 GB"),
        (Memory(), {"memory": {"total": 8e9, "available": 4e9, "limit": 2e9}}, "ok", "2.0 GB allowed"),
        (Cores(), {"cores": {"all": 64, "allowed": 64, "quota": 2.0}}, "ok", "2 of 64"),
        (Users(), {"users": USERS}, "warning", "anne (7.0 cores)"),
        (Users(), {"users": USERS | {"others_cores": 1.0}}, "ok", "anne"),
        (Users(), {"users": USERS | {"hidden": True}}, "ok", "does not show"),
        (LoginNode(), {"queues": {}}, "warning", "6 others"),
        (Gpus(), {"gpus": NO_GPUS}, "ok", "none"),
        (Gpus(), {"gpus": NO_GPUS | {"devices": ["nvidia0"]}}, "warning", "no nvidia-smi"),
        (Logout(), {"logout": LOGOUT}, "ok", "nothing"),
        (Logout(), {"logout": LOGOUT | {"prefix": ["systemd-run"]}}, "ok", "service manager"),
        (
            Logout(),
            {"logout": LOGOUT | {"warnings": [["ends all", "loginctl enable-linger"]]}},
            "warning",
            "ends all",
        ),
        (Limits(), {"limits": LIMITS}, "ok", "any number"),
        (Limits(), {"limits": LIMITS | {"processes": 100}}, "warning", "100 processes"),
        (Limits(), {"limits": LIMITS | {"group_memory": 10**9}}, "warning", "1.0 GB of memory"),
        (Home(), {"place": PLACE, "quota": []}, "ok", "nfs4"),
        (Home(), {"place": PLACE | {"flock": "No locks available"}, "quota": []}, "warning", "cannot be locked"),
        (Home(), {"place": PLACE | {"seconds": 5.0}, "quota": []}, "warning", "took 5.0 s"),
    ],
)
async def test_judgements(check: Check, answers: dict[str, Any], status: str, words: str) -> None:
    users = Finding.ok("", others=6)
    finding = await check.run(Told(HOST, answers, cores=CORES, memory=MEMORY, users=users))
    assert finding.status == status
    assert words in finding.reason
    assert finding.remedies or not finding.wrong


@pytest.mark.parametrize(("load", "login_node", "suggested"), [(0.0, "ok", 8), (6.0, "ok", 2), (0.0, "warning", 1)])
async def test_the_number_of_workers_that_a_machine_suggests(load: float, login_node: Any, suggested: int) -> None:
    told = Told(
        HOST,
        {},
        cores=CORES,
        memory=MEMORY,
        load=Finding.ok("", load=[load, load, load]),
        login_node=Finding(login_node, ""),
    )
    finding = await Workers().run(told)
    assert finding.data["suggested"] == suggested
    assert finding.status == "ok"


def test_the_output_of_quota() -> None:
    text = (
        "Disk quotas for user me (uid 1000): \n"
        "     Filesystem   blocks   quota   limit   grace   files   quota   limit   grace\n"
        "server:/home  1024  2048  4096  0  10  0  0  0\n"
        "/dev/sda1  4097*  2048  4096  1700000000  10  20  30  0\n"
    )
    nfs, disk = parse_quota(text)
    assert (nfs["place"], nfs["used"], nfs["allowed"], nfs["over"]) == ("server:/home", 1024**2, 4 * 1024**2, False)
    assert (disk["files"], disk["files_allowed"], disk["over"]) == (10, 30, True)
    assert parse_quota("quota: error while getting quota\n") == []


def test_logind_is_read_as_logind_reads_it(tmp_path: Any) -> None:
    (tmp_path / "logind.conf").write_text("[Login]\n#KillUserProcesses=yes\nKillUserProcesses = yes\n")
    (tmp_path / "d").mkdir()
    files = (str(tmp_path / "logind.conf"), str(tmp_path / "d"))
    assert configured(files) == "yes"
    (tmp_path / "d/10.conf").write_text("KillUserProcesses=no\n")
    assert configured(files) == "no"
    assert configured((str(tmp_path / "none"),)) is None


def test_several_findings_become_the_worst_of_them() -> None:
    one = Finding.warning("one", Remedy("simmate-remote hosts list"), a=1)
    other = Finding.failed("other", *[Remedy("simmate-remote hosts list", why) for why in ("so", "and so")], b=2)
    assert other.remedies == (Remedy("simmate-remote hosts list", "so"),)
    both = worst([Finding.ok("fine", c=3), one, other])
    assert (both.status, both.reason) == ("failed", "one; other")
    assert both.remedies == (Remedy("simmate-remote hosts list"),)
    assert both.data == {"a": 1, "b": 2, "c": 3}


EXPLAINED = (errors.LinkError, errors.RemoteEnvironmentError, errors.KeeperError)
CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, EXPLAINED)]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_of_connect_names_the_check_that_looks_into_it(cls: type[SimmateRemoteError]) -> None:
    assert cls.explained_by
    assert set(cls.explained_by) <= set(ORDER)
    error = cls("it failed", host="lab box")
    assert error.remedies[-1].command == "simmate-remote doctor 'lab box'"
    assert all(name in error.remedies[-1].why for name in cls.explained_by)
    again = errors.error_from_dict(errors.error_to_dict(error))
    assert again.remedies == error.remedies
    assert Finding.of(error).remedies == ()
    assert cls("it failed").remedies == ()
