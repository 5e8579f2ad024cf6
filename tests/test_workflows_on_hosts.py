"""A script of a user's that runs its workflow on a host, by the host's name; what it started there ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boxes import Box

SCRIPT = """
from dataclasses import dataclass
from pathlib import Path
import socket

from simmate_remote import gather, report_progress, task, workflow


@dataclass
class Measured:
    characters: int
    where: str


@dataclass
class Settings:
    most: int = 3


@task
def measure(text: str) -> Measured:
    return Measured(len(text), socket.gethostname())


@workflow
def words(file: Path, times: int = 2, settings: Settings = Settings()) -> list[Measured]:
    assert type(settings) is Settings
    if times > settings.most:
        raise ValueError("too often")
    return gather(measure.map(file.read_text().split() * times))


if __name__ == "__main__":
    here = words.run(file=Path("text.txt"))
    there = words.submit(on="lab-box", file=Path("text.txt"), settings=Settings(2)).result(60)
    assert [one.characters for one in there] == [one.characters for one in here] == [2, 5] * 2
    assert {type(one) for one in there} == {Measured}
    handles = words.map([{"file": "text.txt", "times": n} for n in range(6)], on="lab-box")
    outcomes = [handle.outcome(60) for handle in handles]
    print([len(one.result) if one.error is None else str(one.error) for one in outcomes])
"""


@pytest.mark.slow_in_the_lab
def test_a_script_with_a_workflow(box: Box, tmp_path: Path) -> None:
    box.inventory(tmp_path / "hosts")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "text.txt").write_text("to think")
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "SIMMATE_REMOTE_HOSTS": str(tmp_path / "hosts")},
        check=False,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 2, 4, 6, 'too often', 'too often']\n"


@pytest.mark.parametrize("name", ["nowhere", "lab box"])
def test_a_host_that_nobody_knows(name: str, tmp_path: Path) -> None:
    program = SCRIPT.replace('on="lab-box"', f"on={name!r}")
    (tmp_path / "script.py").write_text(program)
    (tmp_path / "text.txt").write_text("to think")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=55
    )
    assert done.returncode == 1
    assert "HostNotFoundError" in done.stderr
