"""The keeper over both kinds of host: how long it stays, what it tells the next login, who may end what."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import time

import pytest

from simmate_remote.errors import KeeperElsewhereError, KeeperError, KeeperGoneError
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.descriptors import WANTED
from tests.boxes import Box
from tests.keepers import ENDS, RECORD, Reached, end, reached, record, until

pytestmark = pytest.mark.usefixtures("no_history")


async def sessions(there: Reached, number: int) -> bool:
    return len((await there.keeper.call("describe"))["sessions"]) == number


async def test_nothing_is_started_or_written_by_somebody_who_only_looks(box: Box) -> None:
    with pytest.raises(KeeperGoneError, match=r"nothing of ours runs there\n"):
        async with reached(box, start=False, process=None):
            pass
    assert box.run("ls -A ~/simmate-remote").stdout == ""


async def test_an_orderly_end_is_told_to_the_next_login_and_once(box: Box) -> None:
    async with reached(box) as there:
        assert there.launched.started
        assert there.launched.previous is None
        began = (await there.keeper.call("describe"))["since"]
        await there.keeper.call("stop", reason="`down`, by somebody")
        await until(lambda: not there.conversation.carriers, "the keeper ended")
    for _ in range(2):
        with pytest.raises(KeeperGoneError, match=r"everything on the host was ended: `down`, by somebody \(at "):
            async with reached(box, start=False):
                pass
    async with reached(box) as there:
        previous = there.launched.previous
        assert previous is not None
        assert (previous.kind, previous.since) == ("stopped", began)
        assert abs(previous.ended - time.time()) < 60
    async with reached(box, start=False) as there:
        assert not there.launched.started
        assert there.launched.previous is None
    await end(box)


async def test_a_keeper_that_was_killed_is_told_with_the_end_of_its_log(box: Box) -> None:
    async with reached(box) as there:
        pid = (await there.keeper.call("describe"))["pid"]
        box.kill(pid, signal.SIGKILL)
    await until(lambda: not box.processes(), "everything ended with the keeper")
    with pytest.raises(KeeperGoneError, match="the keeper on the host died") as caught:
        async with reached(box, start=False):
            pass
    assert "the keeper was ended by SIGKILL" in (caught.value.detail or "")
    async with reached(box) as there:
        assert there.launched.previous is not None
        assert there.launched.previous.kind == "died"
        assert "SIGKILL" in there.launched.previous.detail
    await end(box)


async def test_a_guardian_that_was_killed_takes_everything_along_daemons_included(box: Box) -> None:
    async with reached(box) as there:
        about = await there.keeper.call("report")
        guardian = next(each["pid"] for each in about["processes"] if each["name"] == "guardian")
        daemon = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(1000)"
        environment = f"SIMMATE_REMOTE_RUNTIME={about['runtime']}"
        box.run(f"{environment} {box.python} -c '{daemon}' >/dev/null 2>&1 &")
        box.kill(guardian, signal.SIGKILL)
        await until(lambda: not there.conversation.carriers, "the keeper ended")
    await until(lambda: not box.processes(), "everything ended")
    assert box.run(f"ls -d {about['runtime']}").stdout == ""
    with pytest.raises(KeeperGoneError, match="guardian on the host died"):
        async with reached(box, start=False):
            pass


async def test_a_guardian_is_a_fork_of_the_login_s_python_and_shows_to_which_keeper_it_belongs(box: Box) -> None:
    async with reached(box) as there:
        about = await there.keeper.call("report")
        guardian = next(each["pid"] for each in about["processes"] if each["name"] == "guardian")
        shown = box.run(f"tr '\\0' '\\n' < /proc/{guardian}/environ").stdout.splitlines()
        parents = [line.split()[1] for line in box.run("ps -eo stat,ppid").stdout.splitlines() if line.startswith("Z")]
        unburied = [(pid, argv) for pid, argv in box.processes() if str(pid) in parents]
    assert not unburied
    assert f"SIMMATE_REMOTE_RUNTIME={about['runtime']}" in shown
    # An interpreter of its own would have been started with it.
    assert not [each for each in shown if each.startswith("PYTHONPATH=")]
    await end(box)


async def test_a_keeper_whose_folder_was_removed_still_leaves_nothing(box: Box) -> None:
    async with reached(box) as there:
        runtime = (await there.keeper.call("describe"))["runtime"]
        box.run("rm -rf ~/simmate-remote")
        await there.keeper.call("stop", reason="the test is over")
        await until(lambda: not there.conversation.carriers, "the keeper ended")
    await until(lambda: not box.processes(), "everything ended")
    assert box.run(f"ls -d {runtime}").stdout == ""


async def test_a_host_that_was_rebooted_is_told(box: Box) -> None:
    async with reached(box) as there:
        box.kill((await there.keeper.call("describe"))["pid"], signal.SIGKILL)
        left = record(box)
    await until(lambda: not box.processes(), "everything ended with the keeper")
    other = json.dumps({**left, "boot": "00000000-0000-0000-0000-000000000000"})
    box.run(f"echo '{other}' > {RECORD}")
    with pytest.raises(KeeperGoneError, match=r"the host was rebooted \(at "):
        async with reached(box, start=False):
            pass


async def test_a_lease_that_ran_out_is_told(box: Box) -> None:
    async with reached(box) as there:
        await there.keeper.call("renew_lease", length=0.2)
    await until(lambda: not box.processes(), "the lease ran out")
    with pytest.raises(KeeperGoneError, match=r"the lease of 0.2 s ran out"):
        async with reached(box, start=False):
            pass


async def test_a_first_session_that_never_comes_leaves_a_short_lease(box: Box) -> None:
    async with reached(box, lease=1.0):
        pass
    await until(lambda: not box.processes(), "the first lease ran out")


async def test_notes_and_the_lease_stay_for_the_next_session(box: Box) -> None:
    async with reached(box) as there:
        await there.keeper.call("note", name="lasting", value=True)
        await there.keeper.call("renew_lease", length=3600)
        assert (await there.keeper.call("describe"))["lease_ends"] is None
    async with reached(box, start=False) as there:
        about = await there.keeper.call("describe")
        assert about["notes"] == {"lasting": True}
        assert about["lease"] == 3600
    await end(box)


async def test_only_the_lost_conversations_of_the_same_owner_are_forgotten(box: Box) -> None:
    mine = Conversation(first=True, owner="mine")
    other = Conversation(first=True, owner="other")
    async with reached(box, conversation=mine), reached(box, conversation=other):
        pass
    async with reached(box, owner="mine") as there:
        assert await there.keeper.call("forget_lost_conversations", owner="mine") == 1
        async with reached(box, conversation=other, start=False):
            assert len((await there.keeper.call("describe"))["sessions"]) == 2
        with pytest.raises(KeeperGoneError, match="another session of the same user and machine took over"):
            async with reached(box, conversation=mine, start=False):
                pass
    await end(box)


async def test_a_conversation_whose_near_end_stays_away_is_closed_and_says_why(box: Box) -> None:
    lost = Conversation(first=True, owner="sleeper")
    async with reached(box) as there:
        async with reached(box, conversation=lost):
            pass
        await there.keeper.call("renew_lease", length=0.2)
        await until(lambda: sessions(there, 1), "it was closed")
        with pytest.raises(KeeperGoneError, match=r"no connection for 0.2 s"):
            async with reached(box, conversation=lost, start=False):
                pass
        await there.keeper.call("stop", reason="the test is over")


async def test_a_visitor_holds_nothing_and_leaves_no_trace(box: Box) -> None:
    async with reached(box) as there:
        await there.keeper.call("renew_lease", length=1.0)
    async with reached(box, owner="visitor", start=False) as there:
        about = await there.keeper.call("report")
        assert about["lease_ends"] is not None
        assert [each["carriers"] for each in about["sessions"]] == [0]
        assert about["meanwhile"]["alone_until"] is None
        await until(lambda: not there.conversation.carriers, "the lease ran out under the visitor")
    await until(lambda: not box.processes(), "everything ended")


async def test_how_long_nobody_was_there_is_told(box: Box) -> None:
    async with reached(box) as there:
        before = await there.keeper.call("describe")
        assert before["meanwhile"]["alone_since"] is None
    left = time.time()
    async with reached(box, start=False) as there:
        meanwhile = (await there.keeper.call("describe"))["meanwhile"]
    assert left - 60 < meanwhile["alone_since"] <= meanwhile["alone_until"] < time.time() + 60
    assert meanwhile["finished"] == meanwhile["erred"] == 0
    await end(box)


async def test_a_keeper_whose_nursery_dies_while_nobody_is_there_ends_and_the_next_one_tells(box: Box) -> None:
    async with reached(box) as there:
        nursery = (await there.keeper.call("describe"))["processes"][0]["pid"]
    box.kill(nursery, signal.SIGKILL)
    await until(lambda: not box.processes(), "everything ended")
    with pytest.raises(KeeperGoneError, match="the nursery on the host died"):
        async with reached(box, start=False):
            pass
    async with reached(box) as there:
        assert there.launched.previous is not None
        assert (there.launched.started, there.launched.previous.kind) == (True, "died")
    await end(box)


async def test_another_node_that_has_the_keeper_is_named(box: Box) -> None:
    async with reached(box) as there:
        about = await there.keeper.call("describe")
        own = record(box)
        node = {**own, "hostname": "login-2", "boot": "another", "handover": "/nowhere", "address": "192.0.2.7"}
        folder = "~/simmate-remote/keepers"
        box.run(f"echo '{json.dumps(node)}' > {folder}/login-2.json")
        listed = (await there.keeper.call("report"))["elsewhere"]
        assert [(each["hostname"], each["address"]) for each in listed] == [("login-2", "192.0.2.7")]
        await there.keeper.call("stop", reason="the test goes on")
        await until(lambda: not there.conversation.carriers, "the keeper ended")
    for start in (True, False):
        with pytest.raises(KeeperElsewhereError, match=r"login-2 \(192.0.2.7\)") as caught:
            async with reached(box, start=start):
                pass
        assert (caught.value.hostname, caught.value.address) == ("login-2", "192.0.2.7")
        assert caught.value.since == about["since"]
    async with reached(box, here=True) as there:
        await there.keeper.call("stop", reason="the test goes on")
        await until(lambda: not there.conversation.carriers, "the keeper ended")
    box.run(f"touch -d '10 minutes ago' {folder}/login-2.json")
    async with reached(box) as there:
        assert there.launched.started
    await end(box)


async def test_a_machine_that_got_another_name_is_the_same_one(box: Box) -> None:
    async with reached(box):
        box.run(f"mv {RECORD} ~/simmate-remote/keepers/called-otherwise.json")
        async with reached(box, start=False) as there:
            assert not there.launched.started
    await end(box)


async def test_a_keeper_that_hangs_is_not_started_a_second_time(box: Box) -> None:
    async with reached(box) as there:
        pid = (await there.keeper.call("describe"))["pid"]
        box.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises((KeeperError, TimeoutError)):
                async with asyncio.timeout(3), reached(box):
                    pass
        finally:
            box.kill(pid, signal.SIGCONT)
    async with reached(box, start=False) as there:
        assert (await there.keeper.call("describe"))["pid"] == pid
    await end(box)


async def test_all_that_runs_is_listed_with_what_it_uses(box: Box) -> None:
    async with reached(box) as there:
        about = await there.keeper.call("report")
    found = {each["name"]: each for each in about["processes"]}
    assert {"guardian", "keeper", "nursery"} <= set(found)
    assert found["keeper"]["pid"] == about["pid"]
    # A program that waits must not weigh anything; it imports neither ssl nor hashlib for this.
    assert found["guardian"]["memory"] + found["keeper"]["memory"] < 25e6
    assert all(each["memory"] > 1e6 and each["cpu"] >= 0 for each in found.values())
    assert all(abs(each["since"] - about["since"]) < 10 for each in found.values())
    assert about["sessions"][0]["from"]
    assert os.fspath(about["runtime"]).startswith("/")
    await end(box)


@pytest.mark.parametrize("box", ["embedded"], indirect=True)
async def test_a_keeper_without_a_file_descriptor_left_takes_logins_again_when_there_are_some(box: Box) -> None:
    async with reached(box) as there:
        about = await there.keeper.call("describe")
        keeper = about["pid"]
        usual = resource.prlimit(keeper, resource.RLIMIT_NOFILE)
        assert usual[0] >= min(WANTED, usual[1])
        unused = min(set(range(1000)) - {int(each) for each in os.listdir(f"/proc/{keeper}/fd")})
        resource.prlimit(keeper, resource.RLIMIT_NOFILE, (unused, usual[1]))
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(f"{about['runtime']}/handover")
            said = "cat ~/simmate-remote/keepers/*.log"
            await until(lambda: "no login can be taken now" in box.run(said).stdout, "it has none left")
            resource.prlimit(keeper, resource.RLIMIT_NOFILE, usual)
        async with asyncio.timeout(ENDS), reached(box, owner="another laptop") as again:
            assert not again.launched.started
        await there.keeper.call("stop", reason="the test is over")


@pytest.mark.parametrize("box", ["embedded"], indirect=True)
async def test_a_keeper_of_another_version_is_named_and_the_command_that_is_told_ends_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reached(box):
        pass
    monkeypatch.setattr("simmate_remote.streams.carrier.PROTOCOL_VERSION", 99)
    with pytest.raises(KeeperError, match="was started by another version of simmate-remote") as told:
        async with reached(box, start=False):
            pass
    (remedy,) = (each.command for each in told.value.remedies if each.command.startswith("ssh "))
    assert remedy == f"ssh -F {box.ssh_config} {box.alias} kill {record(box)['pid']}"
    box.run(remedy.partition(f" {box.alias} ")[2])
    await until(lambda: not box.processes(), "everything ended")
    with pytest.raises(KeeperGoneError, match="was ended by SIGTERM"):
        async with reached(box, start=False):
            pass
