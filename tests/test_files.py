"""``push`` and ``pull`` over both kinds of host: with a session and without, through cuts, to full disks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.cli.app import main
from simmate_remote.errors import NoSpaceError, SourceError, TargetFolderError, TransferBrokenError
from simmate_remote.files.host.order import Order, Tally
from simmate_remote.files.transfer import Outcome, transfer
from simmate_remote.inventory import Host
from simmate_remote.session.join import join
from simmate_remote.testing import EmbeddedHost
from tests.boxes import Box, EmbeddedBox, assert_nothing_left
from tests.hosts import host_of, wait_until
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.transfers import snapshot

COMMAND = [sys.executable, "-c", "from simmate_remote.cli.app import main; main()"]
LARGE = 60_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for number in range(300):
        path = tree / f"{number % 10}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number * 10))
    (tree / "large").write_bytes(os.urandom(2_000_000))
    (tree / "link").symlink_to("1/1")
    Path(os.fsdecode(os.fsencode(tree) + b"/'na\xffme $x\n")).write_bytes(b"no UTF-8")
    return tree


@contextlib.asynccontextmanager
async def session_at(host: Host) -> AsyncIterator[None]:
    """Have a session for the time of a block."""
    client = await join(host, lasting=True)
    try:
        yield
    finally:
        await client.stop(end_everything=True)
        client.close()
        await client.wait_closed()


async def push(host: Host, *paths: Path | str, to: str = "~", **options: Any) -> Outcome:
    return await transfer(host, Order("push", tuple(map(str, paths)), to), **options)


async def pull(host: Host, *paths: str, to: Path, **options: Any) -> Outcome:
    return await transfer(host, Order("pull", paths, str(to)), **options)


async def there_and_back(host: Host, box: Box, tree: Path, tmp_path: Path) -> None:
    sent = (await push(host, tree, to="some/where")).tally
    assert (sent.files, sent.links, sent.failed) == (302, 1, 0)
    assert (await push(host, f"{tree}/.", to="~/some/where/tree")).tally.unchanged == 302
    fetched = (await pull(host, "some/w*/tree", to=tmp_path / "back")).tally
    assert (fetched.files, fetched.links, fetched.failed) == (302, 1, 0)
    assert snapshot(tmp_path / "back/tree") == snapshot(tree)
    assert (await pull(host, f"{box.home}/some/where/tree", to=tmp_path / "back")).tally.unchanged == 302
    box.run("rm -rf ~/some")


async def test_a_tree_goes_there_and_back_without_a_session(box: Box, tree: Path, tmp_path: Path) -> None:
    box.run("rm -rf ~/simmate-remote")
    await there_and_back(host_of(box), box, tree, tmp_path)
    assert box.logins() == 4
    assert not box.run("ls -d ~/simmate-remote").stdout


@pytest.mark.slow_in_the_lab
async def test_a_tree_goes_there_and_back_through_a_session(box: Box, tree: Path, tmp_path: Path) -> None:
    host = host_of(box, workers={"count": 1})
    async with session_at(host):
        await there_and_back(host, box, tree, tmp_path)
        assert box.logins() == 1


@pytest.mark.slow_in_the_lab
@pytest.mark.parametrize("connected", [False, True], ids=["login", "session"])
async def test_the_ssh_program_carries_files_too(box: Box, tree: Path, tmp_path: Path, connected: bool) -> None:
    host = host_of(box, link="openssh", workers={"count": 1})
    async with session_at(host) if connected else contextlib.nullcontext():
        await there_and_back(host, box, tree, tmp_path)


async def test_a_noisy_host_that_forbids_forwarding_and_has_no_sftp(tree: Path, tmp_path: Path) -> None:
    with EmbeddedHost(banner="Welcome\n\nquota: 93 %", max_sessions=1, allow_forwarding=False) as embedded:
        box = EmbeddedBox(embedded)
        await there_and_back(host_of(box), box, tree, tmp_path)


class Once:
    """Does something when a transfer has come so far, and not again."""

    def __init__(self, size: int, action: Callable[[], object]) -> None:
        self.size = size
        self.action = action
        self.done = False

    def __call__(self, tally: Tally) -> None:
        if not self.done and tally.travelled > self.size:
            self.done = True
            self.action()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "origin/large"
    path.parent.mkdir()
    path.write_bytes(os.urandom(LARGE))
    return path


async def test_through_a_session_a_cut_link_only_takes_time(box: Box, large: Path, tmp_path: Path) -> None:
    host = host_of(box, workers={"count": 1})
    async with session_at(host):
        sent = await push(host, large, watch=Once(LARGE // 20, box.cut))
        assert sent.tally.travelled == LARGE
        fetched = await pull(host, "large", to=tmp_path / "back", watch=Once(LARGE // 20, box.cut))
        assert fetched.tally.travelled == LARGE
        assert box.logins() == 3
    assert snapshot(tmp_path / "back") == snapshot(large.parent)
    box.run("rm ~/large")


@pytest.mark.parametrize("direction", ["push", "pull"])
async def test_a_lost_login_is_said_and_the_next_one_goes_on(
    box: Box, large: Path, direction: str, tmp_path: Path
) -> None:
    host, back = host_of(box), tmp_path / "back"

    async def copy(watch: Callable[[Tally], None] = lambda _: None) -> Tally:
        if direction == "push":
            return (await push(host, large, watch=watch)).tally
        return (await pull(host, "large", to=back, watch=watch)).tally

    if direction == "pull":
        await push(host, large)
    with pytest.raises(TransferBrokenError, match=r"the connection ended(.*\n)*.*goes on from there") as caught:
        await copy(Once(LARGE // 4, box.cut))
    again = f"simmate-remote push {host.name} {large}" if direction == "push" else f"pull {host.name} --to {back} large"
    assert again in str(caught.value)
    assert b"large" not in snapshot(back)
    wait_until(lambda: not box.processes(), 20, "what ran there has ended")
    rest = await copy()
    assert 0 < rest.travelled < LARGE
    await pull(host, "large", to=back)
    assert snapshot(back) == snapshot(large.parent)
    box.run("rm ~/large")


async def test_what_is_wrong_there_is_said_with_what_to_do(
    box: Box, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_of(box)
    with pytest.raises(SourceError, match=r"lab-box: nothing of this is there: no\*thing"):
        await pull(host, "no*thing", to=tmp_path)
    before = box.logins()
    with pytest.raises(SourceError, match=r"^nothing of this is there(.*\n)*.*ls -l"):
        await push(host, tmp_path / "missing")
    assert box.logins() == before
    with pytest.raises(
        TargetFolderError, match=r"lab-box: the folder /proc/none cannot be used(.*\n)*.*ls -ld /proc/none"
    ):
        await push(host, tree, to="/proc/none")
    # What becomes of `--to ~/x` in a shell here.
    monkeypatch.setenv("HOME", "/proc/none")
    with pytest.raises(TargetFolderError) as caught:
        await push(host, tree, to="/proc/none/x y")
    assert f"simmate-remote push lab-box --to '~/x y' {tree}" in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(
        TargetFolderError, match=r"^the folder /proc/none cannot be used(.*\n)*  next:      ls -ld /proc/none"
    ):
        await pull(host, "/etc/hostname", to=Path("/proc/none"))
    assert_nothing_left(box)


@pytest.mark.lab
async def test_a_full_disk_there_is_named_and_what_is_complete_stays(lab: Lab, tree: Path) -> None:
    box = AccountBox.of(lab, "narrow")
    home, uid = lab.accounts["narrow"].home, lab.accounts["narrow"].uid
    lab.run("root", f"mkdir {home}/disk && mount -t tmpfs -o size=1m,uid={uid} tmpfs {home}/disk")
    with pytest.raises(
        NoSpaceError, match=r"no space is left for disk/tree/(.*\n)*.* files are complete(.*\n)*.*df -h"
    ):
        await push(host_of(box), tree, to="disk")
    lab.run("root", f"mount -o remount,size=20m {home}/disk")
    assert (await push(host_of(box), tree, to="disk")).tally.failed == 0
    lab.run("root", f"mount -o remount,ro {home}/disk")
    (tree / "large").write_bytes(b"other")
    with pytest.raises(TargetFolderError, match="Read-only file system"):
        await push(host_of(box), tree, to="disk")
    lab.run("root", f"umount {home}/disk")


@pytest.mark.lab
async def test_what_the_account_may_not_read_or_write_is_named_and_the_rest_goes_on(
    lab: Lab, tree: Path, tmp_path: Path
) -> None:
    box = AccountBox.of(lab, "restricted")
    assert (await push(host_of(box), tree)).tally.failed == 0
    box.run("chmod 0 ~/tree/1/11 ~/tree/2; chmod 0500 ~/tree/3")
    fetched = (await pull(host_of(box), "tree", to=tmp_path / "back")).tally
    assert sorted(problem.path for problem in fetched.problems) == ["tree/1/11", "tree/2"]
    assert (fetched.files, fetched.failed) == (302 - 31, 2)
    lab.run("root", f"chown root {box.home}/tree/3; chmod 0755 {box.home}/tree/3")
    (tree / "3/new").write_text("new")
    (tree / "4/new").write_text("new")
    sent = (await push(host_of(box), tree)).tally
    assert sent.files == 1
    refused = {problem.path.removeprefix(f"{box.home}/tree/") for problem in sent.problems}
    assert refused == {"1/11", "3/new", "3"}
    box.run("chmod -R u+rwX ~/tree")


async def test_nobody_waits_for_a_digest_that_nobody_needs(box: Box, tmp_path: Path) -> None:
    size = 12 << 30
    box.run(f"truncate -s {size} ~/endless")
    with (tmp_path / "endless").open("wb") as begun:
        begun.truncate(size - 1)

    def reads() -> bool:
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(entry) == str(tmp_path / "endless"):
                    return True
        return False

    pulling = asyncio.create_task(pull(host_of(box), "endless", to=tmp_path))
    await asyncio.to_thread(wait_until, reads, 20, "reading what is here")
    pulling.cancel()
    done, _ = await asyncio.wait([pulling], timeout=10)
    box.run("rm ~/endless")
    assert done


# The commands


@pytest.fixture
def commands(box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give what types a command line: it returns stdout and stderr."""
    box.inventory(tmp_path / "hosts")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, printed.err
        return printed.out, printed.err

    return run


def test_the_commands_say_what_they_did(commands: Any, box: Box, tree: Path, tmp_path: Path) -> None:
    out, _ = commands("push", "lab-box", "tree/1", "tree/large", "--dry-run")
    assert "      2,000,000  tree/large" in out.splitlines()
    assert "lab-box: 31 files would be sent (2.04 MB), 1 new folder, " in out
    out, _ = commands("push", "lab-box", "tree/1", "tree/large", "--to", "here")
    assert out.startswith("lab-box: 31 files sent (2.04 MB), 1 new folder, ")
    data = json.loads(commands("push", "lab-box", "tree/1", "--to", "here", "--checksum", "--json")[0])
    assert {name: data[name] for name in ("host", "files", "unchanged", "bytes", "failed", "problems")} == {
        "host": "lab-box",
        "files": 0,
        "unchanged": 30,
        "bytes": 0,
        "failed": 0,
        "problems": [],
    }
    (tmp_path / "odd\nlab-box: 9 files sent").touch()
    out, _ = commands("push", "lab-box", "odd\nlab-box: 9 files sent", "--dry-run")
    assert "  odd\\nlab-box: 9 files sent" in out.splitlines()[0]
    _, err = commands("push", "lab-box", "tree/1", "no\nsuch", "--dry-run", code=1)
    assert err.splitlines()[-1] == "no\\nsuch: no such file or folder"
    out, err = commands("pull", "lab-box", "here/*", "nowhere", "--to", "back", code=1)
    assert out.startswith("lab-box: 31 files fetched (2.04 MB), 1 new folder, 1 failed, ")
    assert err.endswith("nowhere: no such file or folder\n")
    assert snapshot(tmp_path / "back/1") == snapshot(tree / "1")
    out, _ = commands("pull", "lab-box", "no*where", "--json", code=1)
    assert json.loads(out)["error"] == "SourceError"
    box.run("rm -rf ~/here")


@pytest.mark.slow_in_the_lab
def test_ctrl_c_says_that_it_can_be_gone_on_with(commands: Any, box: Box, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(400_000_000))
    with subprocess.Popen([*COMMAND, "push", "lab-box", "large"], stderr=subprocess.PIPE, text=True) as process:
        begun = "find ~ -maxdepth 1 -name '*.part*' -size +10M"
        wait_until(lambda: box.run(begun).stdout != "", 60, "a part is there")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "lab-box: broken off; what is complete stays, and the same command goes on from there" in err
    assert "Traceback" not in err
    assert not box.run("ls ~ | grep large").stdout
    out, _ = commands("push", "lab-box", "large", "--json")
    assert 0 < json.loads(out)["bytes"] < 400_000_000
    box.run("rm ~/large")
