"""``setup``: a bare host becomes ready; the second time nothing changes; whatever fails leaves what was there."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simmate_remote.environment.local import Distribution
from simmate_remote.environment.setup import Feedback, Wish, check, remove
from simmate_remote.errors import (
    EnvironmentInUseError,
    LinkLostError,
    RemotePythonError,
    SetupError,
    WheelMissingError,
)
from tests.boxes import Box
from tests.hosts import wait_until
from tests.setups import Here, bare, bring

QUIET = Feedback(lambda _: None, lambda sent, total: None, None)
PYTHON = "~/simmate-remote/environment/bin/python"

# What other tests left in the lab's account is not there, nor what one of these leaves.
pytestmark = pytest.mark.usefixtures("no_history")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """Give a small environment with two distributions."""
    here = Here(tmp_path / "here")
    here.install("tiny", "1.0")
    here.install("other", "2024.1")
    return here


def there(box: Box, code: str) -> str:
    """Run a line of Python in the environment on the box; give what it printed, or its last word of complaint."""
    done = box.run(f"{PYTHON} -c '{code}'")
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def listing(box: Box, folder: str = "") -> list[str]:
    return box.run(f"ls -A ~/simmate-remote/{folder}").stdout.split()


async def test_a_bare_host_is_compared_without_fetching_anything(box: Box, here: Here) -> None:
    here.supply.installed["none-such"] = Distribution("none-such", "9.9", ())
    compared = await check(bare(box), Wish(), here.supply, QUIET)
    assert "none-such is missing there and 9.9 here" in compared.difference


@pytest.mark.slow_in_the_lab
async def test_a_bare_host_becomes_ready_and_then_nothing_changes(box: Box, here: Here) -> None:
    steps: list[str] = []
    before = listing(box)
    compared = await check(bare(box), Wish(), here.supply, QUIET)
    assert compared.difference == ["other is missing there and 2024.1 here", "tiny is missing there and 1.0 here"]
    assert listing(box) == before

    report = await bring(box, here, step=steps.append)
    assert report.changed
    assert report.sent > 0
    assert there(box, "import tiny, other; print(tiny.version, other.version)") == "1.0 2024.1"
    assert "sending" in steps
    assert listing(box, "building") == []

    again = await bring(box, here)
    assert not again.changed
    assert again.sent == 0
    assert again.environment == report.environment
    assert (await check(bare(box), Wish(), here.supply, QUIET)).difference == []

    removed = await remove(bare(box), QUIET)
    assert set(removed.removed) == {"environment", "environments", "wheels", "bin", "building"}
    # What earlier sessions of a shared account have left is not setup's.
    assert listing(box) == before
    assert (await remove(bare(box), QUIET)).removed == []


@pytest.mark.slow_in_the_lab
async def test_what_changed_here_or_there_is_brought_in_line(box: Box, here: Here) -> None:
    first = await bring(box, here)
    here.install("tiny", "1.1")
    second = await bring(box, here)
    assert second.changed
    assert second.difference == ["tiny is 1.0 there and 1.1 here"]
    assert second.sent < first.sent / 10  # the other wheel, and uv, are there
    assert there(box, "import tiny; print(tiny.version)") == "1.1"

    box.run("rm -r ~/simmate-remote/environment/lib/python3*/site-packages/tiny*")
    third = await bring(box, here)
    assert third.difference == ["tiny is missing there and 1.1 here"]
    assert there(box, "import tiny; print(tiny.version)") == "1.1"

    box.run(f"rm {PYTHON}")
    assert (await bring(box, here)).changed
    assert there(box, "import tiny; print(tiny.version)") == "1.1"
    # The one before stays until the next time; those before it are gone.
    assert len(listing(box, "environments")) == 2
    await remove(bare(box), QUIET)


@pytest.mark.slow_in_the_lab
async def test_what_was_cleared_away_there_comes_again(box: Box, here: Here) -> None:
    """As scratch disks do with files that nobody has read for long."""
    await bring(box, here)
    box.run("rm ~/simmate-remote/environment/lib/python3*/site-packages/tiny.py")
    assert (await check(bare(box), Wish(), here.supply, QUIET)).difference == ["tiny 1.0 lacks 1 of its files there"]
    assert (await bring(box, here)).changed
    assert there(box, "import tiny; print(tiny.version)") == "1.0"
    box.run("for uv in ~/simmate-remote/bin/uv-*; do head -c 1000 $uv >~/cut && cat ~/cut >$uv; done; rm ~/cut")
    here.install("tiny", "1.1")
    await bring(box, here)
    assert there(box, "import tiny; print(tiny.version)") == "1.1"
    assert not (await bring(box, here)).changed
    await remove(bare(box), QUIET)


async def test_the_same_version_with_another_content_is_brought_too(box: Box, here: Here) -> None:
    await bring(box, here)
    here.install("tiny", "1.0", more=b"number = 3\n")
    report = await bring(box, here)
    assert report.difference == ["tiny 1.0 is another build there"]
    assert there(box, "import tiny_more; print(tiny_more.number)") == "3"
    await remove(bare(box), QUIET)


@pytest.mark.slow_in_the_lab
async def test_what_runs_keeps_its_environment(box: Box, here: Here) -> None:
    first = await bring(box, here)
    assert first.environment is not None
    # By the folder's own name, as the keeper and all that it starts are.
    python = f"~/simmate-remote/{first.environment}/bin/python"
    box.run(f"nohup {python} -c 'import time; time.sleep(600)' >/dev/null 2>&1 </dev/null & echo $! >~/sleeper")
    with pytest.raises(EnvironmentInUseError) as caught:
        await remove(bare(box), QUIET)
    assert "simmate-remote down lab-box" in str(caught.value)
    for version in ("1.1", "1.2", "1.3"):
        here.install("tiny", version)
        await bring(box, here)
    kept = listing(box, "environments")
    assert first.environment.removeprefix("environments/") in kept
    assert len(kept) == 3
    box.run("kill $(cat ~/sleeper); rm ~/sleeper")
    here.install("tiny", "1.4")
    await bring(box, here)
    assert first.environment.removeprefix("environments/") not in listing(box, "environments")
    await remove(bare(box), QUIET)


async def test_an_environment_that_fails_its_trial_leaves_the_old_one(box: Box, here: Here) -> None:
    first = await bring(box, here)
    here.install("distributed", "1.0", broken=b"")
    with here.supply.store.arriving() as arriving:
        from tests.setups import write_wheel

        write_wheel(arriving, "distributed", "2.0", {"distributed.py": b"raise RuntimeError('it is broken')\n"})
        here.supply.store.take(arriving)
    here.supply.installed["distributed"] = Distribution("distributed", "2.0", ())
    with pytest.raises(SetupError, match="trying the new environment: import distributed") as caught:
        await bring(box, here)
    assert "it is broken" in str(caught.value)
    assert there(box, "import tiny; print(tiny.version)") == "1.0"
    assert listing(box, "building") == []
    assert listing(box, "environments") == [str(first.environment).removeprefix("environments/")]
    await remove(bare(box), QUIET)


@pytest.mark.slow_in_the_lab
async def test_what_was_cut_off_is_continued_and_the_old_environment_works_meanwhile(box: Box, here: Here) -> None:
    await bring(box, here)
    here.install("large", "1.0", content=b"# " + os.urandom(12_000_000).hex().encode())
    whole = 0

    def cut_half_way(sent: int, total: int) -> None:
        nonlocal whole
        if sent > total / 2 and not whole:
            whole = total
            box.cut()

    with pytest.raises(LinkLostError, match="the link was lost while `receive` ran there"):
        await bring(box, here, progress=cut_half_way)
    assert there(box, "import tiny; print(tiny.version)") == "1.0"
    report = await bring(box, here)
    assert 0 < report.sent < whole  # the rest of it: how much had arrived is a matter of what was on its way
    assert there(box, "import large; print(large.version)") == "1.0"
    await remove(bare(box), QUIET)


async def test_a_damaged_beginning_is_sent_anew(box: Box, here: Here) -> None:
    here.install("tiny", "3.0", more=os.urandom(1000).hex().encode())
    wheel = next(here.supply.store.folder.glob("tiny/tiny-3.0-*.whl"))
    described = here.supply.store.wheel(wheel)
    place = f"simmate-remote/wheels/{described.sha256[:16]}"
    box.run(f"mkdir -p ~/{place} && echo rubbish >~/{place}/{wheel.name}.part")
    await bring(box, here)
    box.run(f"echo rubbish >>~/{place}/{wheel.name}")
    here.install("other", "2024.2")
    await bring(box, here)
    assert there(box, "import tiny; print(tiny.version)") == "3.0"
    await remove(bare(box), QUIET)


async def test_what_is_not_of_our_making_is_left_alone(box: Box, here: Here) -> None:
    box.run("mkdir -p ~/simmate-remote/environment && touch ~/simmate-remote/environment/mine")
    with pytest.raises(SetupError, match="not of our making"):
        await bring(box, here)
    await remove(bare(box), QUIET)
    assert listing(box, "environment") == ["mine"]
    box.run("cd ~/simmate-remote && mv environment else && ln -s else environment")
    with pytest.raises(SetupError, match="not of our making"):
        await bring(box, here)
    await remove(bare(box), QUIET)
    assert listing(box, "environment") == ["mine"]
    box.run("rm -r ~/simmate-remote")


@pytest.mark.slow_in_the_lab
async def test_a_folder_that_is_not_ours_alone_keeps_what_is_not_ours(box: Box, here: Here) -> None:
    """``folder: /scratch/me`` of somebody who keeps programs and environments there."""
    theirs = [
        "bin/mine", "wheels/mine.whl", "environments/science/bin/python", "pythons/3.9/bin/python", "building/house",
        "bin/uv-and-me",
    ]  # fmt: skip
    words = " ".join(theirs)
    box.run(f"mkdir ~/shared && cd ~/shared && for each in {words}; do mkdir -p ${{each%/*}} && echo >$each; done")
    assert not (await remove(bare(box, folder="~/shared"), QUIET)).removed
    for version in ("1.0", "1.1", "1.2"):
        here.install("tiny", version)
        await bring(box, here, folder="~/shared")
    removed = await remove(bare(box, folder="~/shared"), QUIET)
    assert {"environment", "environments", "wheels", "bin"} <= set(removed.removed)
    left = box.run("cd ~/shared && find . -type f").stdout.split()
    assert sorted(left) == sorted(f"./{each}" for each in theirs)
    box.run("rm -r ~/shared")


async def test_a_named_python_is_taken_and_a_wrong_one_refused(box: Box, here: Here) -> None:
    box.run("mkdir -p ~/'my env'/bin && ln -s /usr/bin/python3 ~/'my env'/bin/python")
    report = await bring(box, here, python="~/my env")
    assert report.python == box.run("readlink -f /usr/bin/python3").stdout.strip()
    assert not (await bring(box, here, python="~/my env")).changed
    # For another `python:`, the environment does not stand in.
    assert (await check(bare(box), Wish(), here.supply, QUIET)).difference
    await remove(bare(box), QUIET)
    with pytest.raises(RemotePythonError, match="was named, and is no Python"):
        await bring(box, here, wish=Wish(python="/nowhere/python"))
    box.run("rm -r ~/'my env' ~/simmate-remote")


@pytest.mark.parametrize("wish", [Wish(extra=("ase>>3",)), Wish(only=("not-here",))])
async def test_what_cannot_be_meant_contacts_nobody(box: Box, here: Here, wish: Wish) -> None:
    with pytest.raises(SetupError, match="nothing was contacted"):
        await bring(box, here, wish=wish)
    with pytest.raises(SetupError, match="nothing was contacted"):
        await check(bare(box), wish, here.supply, QUIET)
    assert box.logins() == 0


async def test_what_cannot_be_had_is_named(box: Box, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name, installer in (("ours-alone", "conda"), ("sealed", "pip")):
        here.supply.installed[name] = Distribution(name, "1.0", (), installer=installer)
    with pytest.raises(
        WheelMissingError, match=r"these 2 cannot be had for .*: ours-alone==1\.0 sealed==1\.0"
    ) as caught:
        await bring(box, here)
    assert "--force-reinstall ours-alone==1.0" in str(caught.value)
    assert "--only simmate-remote" in str(caught.value)
    assert listing(box) == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_command_line_does_it(box: Box, tmp_path: Path) -> None:
    """The real thing at its smallest: one distribution without requirements, of the environment that runs this."""
    inventory = tmp_path / "hosts"
    inventory.mkdir()
    (inventory / "lab-box.yaml").write_text(f"ssh: {box.alias}\nssh_config: {box.ssh_config}\n")
    store = tmp_path / "cache/simmate-remote/wheels"
    Here(tmp_path / "here").supply.store.folder.rename(store.parent.mkdir(parents=True) or store)
    environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(inventory), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        program = ["-c", "from simmate_remote.cli.app import main; main()", "setup", "lab-box", *words]
        return subprocess.run(
            [sys.executable, *program], env=environment, capture_output=True, text=True, timeout=50, check=False
        )

    assert command("--only", "toolz", "--check").returncode == 1
    made = command("--only", "toolz")
    assert made.returncode == 0, made.stderr
    assert "lab-box: ready\n" in made.stdout
    assert "simmate-remote connect lab-box" in made.stdout
    assert "lab-box: sending, " in made.stderr
    assert command("--only", "toolz", "--check").stdout.startswith("lab-box: equal\n")
    assert "nothing had to be changed" in command("--only", "toolz").stdout
    assert command("--remove").stdout.startswith("lab-box: taken away: environment")


async def test_nobody_waits_for_an_index_after_ctrl_c(
    box: Box, here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        here.supply.installed[name] = Distribution(name, "1.0", ())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
        working = asyncio.create_task(bring(box, here))
        asked, _ = await asyncio.to_thread(silent.accept)
        with asked:
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            # The thread ends, too: it was ended what it waited for, and it tries no other way.
            await asyncio.to_thread(wait_until, lambda: not here.supply.store.busy.locked(), 10, "the end of pip")
    assert not list(here.supply.store.folder.glob(".arriving-*"))
