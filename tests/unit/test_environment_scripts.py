"""The scripts of ``setup``, run by this machine's ``sh`` on folders of the test's own."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from simmate_remote.environment.shell import Answer
from tests.hosts import wait_until

SCRIPTS = Path(__file__).parents[2] / "simmate_remote/environment/scripts"
ENVIRONMENT = "environments/0123456789abcdef-01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "our folder"
    folder.mkdir()
    return folder


def start(
    name: str, folder: Path, /, *, tools: Path | None = None, known: dict[str, str] | None = None, **variables: str
) -> subprocess.Popen[str]:
    """Start a script as ``Shell`` would.

    Args:
        name: The script's.
        folder: Our folder.
        tools: Programs that are found before those of this machine.
        known: What a start-up file of the account has set.
        variables: What it finds in shell variables.
    """
    given = {**variables, "folder": str(folder), "nonce": "0123"}
    lines = [f"{key}={shlex.quote(value)}" for key, value in given.items()]
    text = "\n".join([*lines, (SCRIPTS / "begin.sh").read_text(), (SCRIPTS / f"{name}.sh").read_text()])
    path = os.pathsep.join(filter(None, [str(tools or ""), os.environ["PATH"]]))
    return subprocess.Popen(
        ["/bin/sh", "-c", text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"HOME": str(folder.parent), "PATH": path, **(known or {})},
    )


def end(process: subprocess.Popen[str], feed: str = "") -> Answer:
    """Give a script the rest of what it reads, and wait for what it says."""
    said, errors = process.communicate(feed, timeout=20)
    return Answer(process.returncode, said.partition("\n0123\n")[2].splitlines(), errors)


def test_what_cannot_be_taken_away_is_no_success(folder: Path, tmp_path: Path) -> None:
    (folder / ENVIRONMENT).mkdir(parents=True)
    (folder / "environment").symlink_to(ENVIRONMENT)
    tools = tmp_path / "tools"
    tools.mkdir()
    # As on a network file system, where a file that somebody has open leaves something behind.
    refusal = 'case $* in *environments/*) echo "not empty" >&2; exit 1; esac'
    (tools / "rm").write_text(f'#!/bin/sh\n{refusal}\nexec /bin/rm "$@"')
    (tools / "rm").chmod(0o700)
    answer = end(start("remove", folder, tools=tools))
    assert answer.values("removed") == ["environment"]
    assert (answer.value("end"), answer.errors) == ("", "not empty\n")
    assert end(start("remove", folder)).lines == ["removed environments", "end yes"]
    assert not folder.exists()


def parcel(content: bytes) -> tuple[str, str]:
    """Give the digest of a wheel, and its place in our folder."""
    digest = hashlib.sha256(content).hexdigest()
    return digest, f"wheels/{digest[:16]}/a-1.0-py3-none-any.whl"


def begin(process: subprocess.Popen[str], feed: str) -> None:
    """Give a script a part of what it reads."""
    assert process.stdin is not None
    process.stdin.write(feed)
    process.stdin.flush()


def test_two_who_send_the_same_at_once_both_arrive(folder: Path) -> None:
    content = "0123456789abcdef" * (3 << 16)
    digest, place = parcel(content.encode())
    first, second = start("receive", folder), start("receive", folder)
    for each in (first, second):
        begin(each, f"0 {len(content)} {digest} {place}\n{content[: 2 << 20]}")
    arrived = (folder / place).parent
    wait_until(lambda: sum(each.stat().st_size for each in arrived.glob("*")) == 4 << 20, 20, "both")
    assert end(first, content[2 << 20 :]).lines == [f"got {place}"]
    assert end(second, content[2 << 20 :]).lines == [f"got {place}"]
    assert [each.read_text() == content for each in arrived.iterdir()] == [True]


def test_only_one_goes_on_with_what_was_cut_off(folder: Path) -> None:
    content = "0123456789" * 1000
    digest, place = parcel(content.encode())
    asked = f"{digest} {len(content)} {place}\n"
    beginning = hashlib.sha256(content[:5000].encode()).hexdigest()
    answer = end(start("receive", folder), f"0 {len(content)} {digest} {place}\n{content[:5000]}")
    assert answer.lines == [f"wrong {place}"]
    assert end(start("missing", folder), asked).lines == [f"part 5000 {beginning} {place}"]
    first, line = start("receive", folder), f"5000 5000 {digest} {place}\n"
    begin(first, line)
    wait_until(lambda: not (folder / f"{place}.part").exists(), 20, "taking the beginning")
    assert end(start("receive", folder), line + content[5000:]).lines == [f"wrong {place}"]
    assert end(first, content[5000:]).lines == [f"got {place}"]
    assert end(start("missing", folder), asked).lines == [f"have {place}"]


def test_a_setup_that_ends_leaves_what_another_one_sends(folder: Path) -> None:
    (folder / ENVIRONMENT).mkdir(parents=True)
    (folder / ENVIRONMENT / "simmate-remote.list").touch()
    (folder / "environment").symlink_to(ENVIRONMENT)
    content = "0123456789"
    digest, place = parcel(content.encode())
    old, mine = folder / "wheels" / ("0" * 16), folder / "wheels" / ("1" * 16)
    for each in (old, mine):
        each.mkdir(parents=True)
        (each / "a.whl").write_text("")
        os.utime(each, (0, 0))
    nothing = hashlib.sha256().hexdigest()
    assert end(start("missing", folder), f"{nothing} 0 wheels/{mine.name}/a.whl\n").lines == [
        f"have wheels/{mine.name}/a.whl"
    ]
    other = start("receive", folder)
    begin(other, f"0 {len(content)} {digest} {place}\n")
    wait_until((folder / place).parent.exists, 20, "receiving")
    end(start("clear", folder, all=""))
    assert not old.exists()
    assert mine.exists()
    assert end(other, content).lines == [f"got {place}"]
    assert (folder / place).exists()
    # Where the disk is full, nothing is spared.
    end(start("clear", folder, all="yes"))
    assert not list(folder.glob("wheels/*"))


def test_what_an_account_has_set_for_uv_does_not_count(folder: Path) -> None:
    uv = folder / "bin/uv-1"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\nenv | grep ^UV_ >&2\nexit 1\n")
    uv.chmod(0o700)
    name = ENVIRONMENT.partition("/")[2]
    known = {"UV_VENV_SEED": "1", "UV_CONSTRAINT": "/x", "UV_CACHE_DIR": "/x", "UV_NO_CONFIG": "0"}
    build = start("build", folder, known=known, name=name, python="/x", made_for="", uv="1", smoke="pass")
    answer = end(build)
    assert answer.value("failed") == "making an environment from /x"
    assert sorted(answer.values("said")) == [
        f"UV_CACHE_DIR={folder}/building/{name}/cache",
        "UV_NO_CONFIG=1",
        "UV_NO_PROGRESS=1",
        "UV_OFFLINE=1",
        "UV_PYTHON_DOWNLOADS=never",
    ]
    assert not list((folder / "environments").iterdir())


def test_what_another_setup_puts_in_place_meanwhile_stays(folder: Path, tmp_path: Path) -> None:
    before, theirs, stale = (folder / f"environments/{digit * 16}-{digit * 8}" for digit in "012")
    for each in (before, theirs, stale):
        each.mkdir(parents=True)
    (folder / "environment").symlink_to(f"environments/{before.name}")
    tools = tmp_path / "tools"
    tools.mkdir()
    # While it is looked whether something runs from it.
    (tools / "grep").write_text(f'#!/bin/sh\nln -sfn environments/{theirs.name} environment\nexec /bin/grep "$@"\n')
    (tools / "grep").chmod(0o700)
    name = ENVIRONMENT.partition("/")[2]
    answer = end(start("build", folder, tools=tools, name=name, python="/x", made_for="", uv="none", smoke="pass"))
    assert answer.value("failed") == "making an environment from /x"
    assert sorted(each.name for each in (folder / "environments").iterdir()) == [before.name, theirs.name]
