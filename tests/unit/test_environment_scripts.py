"""The scripts of ``setup``, run by this machine's ``sh`` on folders of the test's own."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from simmate_remote.environment.shell import Answer

SCRIPTS = Path(__file__).parents[2] / "simmate_remote/environment/scripts"
ENVIRONMENT = "environments/0123456789abcdef-01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "our folder"
    folder.mkdir()
    return folder


def start(name: str, folder: Path, *, tools: Path | None = None, **variables: str) -> subprocess.Popen[str]:
    """Start a script as ``Shell`` would.

    Args:
        name: The script's.
        folder: Our folder.
        tools: Programs that are found before those of this machine.
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
        env={"HOME": str(folder.parent), "PATH": path},
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
