"""A host whose disk is full: the keeper goes on, and what cannot be written is said as it is."""

from __future__ import annotations

import pytest

from simmate_remote.errors import KeeperError
from tests.keepers import reached
from tests.lab import Lab
from tests.lab_boxes import AccountBox

SIZE = "16m"


@pytest.mark.lab
async def test_a_full_disk_ends_nothing_and_is_named(lab: Lab) -> None:
    box = AccountBox.of(lab, "brimful")
    home, uid = lab.accounts["brimful"].home, lab.accounts["brimful"].uid
    lab.run("root", f"mkdir -p /tmp/kept && cp -a {home}/. /tmp/kept/")
    lab.run("root", f"mount -t tmpfs -o size={SIZE},uid={uid},mode=0700 tmpfs {home} && cp -a /tmp/kept/. {home}/")
    async with reached(box) as there:
        box.run("cat /dev/zero > filler")
        for _ in range(200):
            with pytest.raises(KeeperError, match="no process here is called"):
                await there.keeper.call("call_process", name="none", call="none", arguments={})
        assert (await there.keeper.call("describe"))["sessions"]
        await there.keeper.call("stop", reason="the disk is full")
    lab.wait_until_idle("brimful")
    # What the last one left free is enough for the next; so that must not be there either.
    box.run("rm ~/simmate-remote/keepers/*.log; cat /dev/zero >> filler")
    with pytest.raises(KeeperError, match="No space left on device"):
        async with reached(box):
            pass
    lab.wait_until_idle("brimful")
    box.run("rm filler")
    async with reached(box) as there:
        assert there.launched.started
        await there.keeper.call("stop", reason="the test is over")
    lab.wait_until_idle("brimful")
