"""What a fork of ours looks like from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from simmate_remote.keeper.shell_command import NO_MARK

PROGRAM = """
import json, os, sys
from simmate_remote.keeper.host.appearance import appear_as

def seen():
    return [open(f"/proc/self/{name}", "rb").read().decode() for name in ("cmdline", "environ")]

before = seen()
done = appear_as(*json.load(sys.stdin))
there, here = os.pipe()
if os.fork() == 0:
    os.write(here, json.dumps([done, before, seen()]).encode())
    os.close(here)
    os.execv(sys.executable, [sys.executable, "-c", "import os; os.write(1, os.environb.get(b'MARK', b'none'))"])
os.close(here)
told = open(there).read()
os.wait()
print()
print(told)
"""


def appear(command: list[str], name: str, value: str, **environment: str) -> tuple[bool, list[str], list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([command, name, value]),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    inherited, _, told = done.stdout.partition("\n")
    return *json.loads(told), inherited


def test_a_fork_shows_what_it_is_and_to_whom_it_belongs() -> None:
    words = ["python", "-m", "simmate_remote.keeper.host.guardian", "/home/müller's own/simmate-remote"]
    done, before, after, inherited = appear(words, "MARK", "/tmp/simmate-remote-1", MARK=NO_MARK, MARKET="open")
    assert done
    assert after[0].rstrip("\0").split("\0") == words
    assert len(after[0].encode()) == len(before[0].encode())
    variables = [each for each in after[1].split("\0") if each]
    assert "MARK=/tmp/simmate-remote-1" in variables
    assert sorted(variables) == sorted(
        "MARK=/tmp/simmate-remote-1" if each.startswith("MARK=") else each for each in before[1].split("\0") if each
    )
    assert inherited == "/tmp/simmate-remote-1"


def test_a_line_that_is_too_long_is_cut() -> None:
    done, before, after, _ = appear(["x" * 5000], "MARK", "/tmp/1", MARK=NO_MARK)
    assert done
    assert after[0] == "x" * (len(before[0]) - 1) + "\0"


@pytest.mark.parametrize("environment", [{}, {"MARK": ""}, {"MARK": "/tmp"}, {"MARKED": NO_MARK}])
def test_without_a_place_for_it_nothing_is_changed(environment: dict[str, str]) -> None:
    done, before, after, _ = appear(["python"], "MARK", "/tmp/simmate-remote-1", **environment)
    assert not done
    assert after == before
