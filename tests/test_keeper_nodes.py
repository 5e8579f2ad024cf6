"""Several login nodes behind one name, with one home: machines of other names and other boots, made of namespaces."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote import connect
from simmate_remote.errors import KeeperElsewhereError, KeeperGoneError
from simmate_remote.testing import EmbeddedHost
from tests.boxes import Box, EmbeddedBox, assert_nothing_left
from tests.hosts import end_session, host_of, leave_session
from tests.keepers import end, reached

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces of host names here")

NODE = """#!/bin/sh
node=$(cat ~/node)
# One login may be led astray, as by a name that has several addresses.
[ -e ~/astray ] && node=$(cat ~/astray) && rm ~/astray
# A root folder that is no mount of its own, as in a chroot, cannot be made private; /proc always can.
exec unshare --uts --mount --propagation unchanged /bin/sh -c '
    mount --make-rprivate /proc; hostname "$1"
    mount --bind ~/boot-"$1" /proc/sys/kernel/random/boot_id; shift
    exec /bin/sh "$@"
' sh "$node" "$@"
"""


class Cluster(EmbeddedBox):
    """A host whose logins lead to the node that was chosen last."""

    def choose(self, node: str, *, boot: str = "1") -> None:
        Path(self.home, "node").write_text(node)
        Path(self.home, f"boot-{node}").write_text(f"{node}-{boot}\n")

    def lead_astray(self, node: str) -> None:
        Path(self.home, "astray").write_text(node)

    def age(self, node: str, seconds: float) -> None:
        path = Path(self.home, "simmate-remote", "keepers", f"{node}.json")
        before = path.stat().st_mtime - seconds
        os.utime(path, (before, before))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Box]:
    shell = tmp_path / "node-shell"
    shell.write_text(NODE)
    shell.chmod(stat.S_IRWXU)
    with EmbeddedHost(shell=shell) as host:
        yield (box := Cluster(host))
        assert_nothing_left(box)


async def test_the_node_that_has_the_keeper_is_named_and_found_again(cluster: Cluster) -> None:
    cluster.choose("login-1")
    async with reached(cluster) as first:
        assert first.launched.found.hostname == "login-1"
        cluster.choose("login-2")
        for start in (True, False):
            with pytest.raises(KeeperElsewhereError, match="login-1") as caught:
                async with reached(cluster, start=start):
                    pass
            assert (caught.value.hostname, caught.value.address) == ("login-1", "127.0.0.1")
            assert caught.value.port == cluster.host.port
        async with reached(cluster, here=True) as second:
            assert second.launched.started
            assert second.launched.found.hostname == "login-2"
            (other,) = (await second.keeper.call("report"))["elsewhere"]
            assert other["hostname"] == "login-1"
        await end(cluster)
        cluster.choose("login-1")
        async with reached(cluster, start=False) as again:
            assert not again.launched.started
    await end(cluster)


async def test_a_node_that_has_not_been_heard_of_for_minutes_blocks_nothing(cluster: Cluster) -> None:
    cluster.choose("login-1")
    async with reached(cluster):
        cluster.age("login-1", 301)
        cluster.choose("login-2")
        async with reached(cluster) as second:
            assert second.launched.started
            assert second.launched.previous is None
        await end(cluster)
        cluster.choose("login-1")
    await end(cluster)


async def test_a_node_that_was_rebooted_says_so(cluster: Cluster) -> None:
    cluster.choose("login-1")
    async with reached(cluster) as there:
        pid = (await there.keeper.call("describe"))["pid"]
        os.kill(pid, 9)
    assert_nothing_left(cluster)
    cluster.choose("login-1", boot="2")
    with pytest.raises(KeeperGoneError, match="the host was rebooted"):
        async with reached(cluster, start=False):
            pass
    async with reached(cluster) as there:
        assert there.launched.previous is not None
        assert there.launched.previous.kind == "rebooted"
    await end(cluster)


async def test_a_node_that_was_shut_down_in_good_order_was_rebooted_all_the_same(cluster: Cluster) -> None:
    cluster.choose("login-1")
    async with reached(cluster) as there:
        os.kill((await there.keeper.call("describe"))["pid"], 15)
    assert_nothing_left(cluster)
    with pytest.raises(KeeperGoneError, match="everything on the host was ended by SIGTERM"):
        async with reached(cluster, start=False):
            pass
    cluster.choose("login-1", boot="2")
    with pytest.raises(KeeperGoneError, match="the host was rebooted"):
        async with reached(cluster, start=False):
            pass


def test_a_session_goes_to_the_node_that_has_what_is_its_own(cluster: Cluster) -> None:
    cluster.choose("login-2", boot="1")
    cluster.choose("login-1")
    host = host_of(cluster)
    with connect(host) as here:
        here.client.wait_for_workers(2, timeout=30)
        workers = here.client.run(os.getpid)
    leave_session(host)
    cluster.lead_astray("login-2")
    with connect(host) as here:
        here.client.wait_for_workers(2, timeout=30)
        assert here.client.run(os.getpid) == workers
        cluster.lead_astray("login-2")
        cluster.cut()
        assert here.client.submit(abs, -8).result(timeout=30) == 8
    end_session(host)
