"""Starting a keeper without any link: through a program in between, and where it cannot be started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import simmate_remote
from simmate_remote.keeper.host.family import MARK, descendants, marked
from simmate_remote.keeper.host.record import Record, read_record, record_path
from simmate_remote.keeper.shell_command import NO_MARK
from tests.hosts import wait_until

PACKAGE = str(Path(simmate_remote.__file__).parents[1])
START = (
    "import json, sys; from pathlib import Path; from simmate_remote.keeper.host.starting import start_keeper; "
    "start_keeper(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]))"
)
# As systemd-run may do: nothing but the three standard descriptors comes through.
IN_BETWEEN = "import os, sys; os.closerange(3, 1024); os.execvp(sys.argv[1], sys.argv[1:])"
PROCESS = {"name": "waiting", "module": "antigravity_none", "environment": {}}


def start(
    folder: Path, *, prefix: tuple[str, ...] = (), mark: str = "", **order: Any
) -> subprocess.CompletedProcess[str]:
    (folder / "keepers").mkdir(parents=True, exist_ok=True)
    complete = {
        "lease": 60.0, "process": PROCESS, "package": "p", "address": "192.0.2.1", "port": 22,
        "warnings": [["this host ends all", "loginctl enable-linger"]], **order,
    }  # fmt: skip
    words = [str(folder), PACKAGE, json.dumps(complete), json.dumps(prefix)]
    return subprocess.run(
        [sys.executable, "-c", START, *words],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def record_in(folder: Path) -> Record:
    record = read_record(record_path(folder))
    assert record is not None
    return record


def end(folder: Path) -> None:
    record = record_in(folder)
    os.kill(record.pid, signal.SIGTERM)
    wait_until(lambda: not Path(record.runtime).exists(), 20, "the keeper and its guardian ended")


@pytest.mark.parametrize("mark", ["", NO_MARK], ids=["an interpreter of its own", "a fork"])
def test_a_guardian_is_seen_as_what_it_is_and_has_what_it_needs_alone(user_folders: Path, mark: str) -> None:
    assert start(user_folders, mark=mark).returncode == 0
    record = record_in(user_folders)
    family = [pid for pid in marked(record.runtime) if pid != record.pid]
    guardian = next(pid for pid in family if record.pid in descendants(pid))
    shown = Path(f"/proc/{guardian}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert [os.fsdecode(word) for word in shown[1:]] == ["-m", "simmate_remote.keeper.host.guardian", str(user_folders)]
    open_there = {int(name): os.readlink(f"/proc/{guardian}/fd/{name}") for name in os.listdir(f"/proc/{guardian}/fd")}
    assert {open_there[1], open_there[2]} == {str(record_path(user_folders).with_suffix(".log"))}
    # The pipe by whose end the keeper knows that its guardian is gone.
    assert [kind.partition(":")[0] for number, kind in open_there.items() if number > 2] == ["pipe"]
    end(user_folders)


def test_a_program_in_between_may_close_what_it_does_not_know(user_folders: Path) -> None:
    done = start(user_folders, prefix=(sys.executable, "-c", IN_BETWEEN))
    assert done.returncode == 0, done.stderr
    record = record_in(user_folders)
    assert (record.address, record.port, record.package) == ("192.0.2.1", 22, "p")
    assert [tuple(warning) for warning in record.warnings] == [("this host ends all", "loginctl enable-linger")]
    end(user_folders)


def test_a_program_in_between_that_fails_is_told(user_folders: Path) -> None:
    done = start(user_folders, prefix=("/bin/sh", "-c", "echo 'Failed to start transient scope unit' >&2; exit 1"))
    assert done.returncode != 0
    assert "Failed to start transient scope unit" in done.stderr


def test_a_log_that_cannot_be_written_ends_nothing(user_folders: Path) -> None:
    (user_folders / "keepers").mkdir()
    record_path(user_folders).with_suffix(".log").symlink_to("/dev/full")
    assert start(user_folders).returncode == 0
    end(user_folders)


def test_why_a_keeper_did_not_start_is_told_although_nothing_can_be_logged(user_folders: Path) -> None:
    (user_folders / "keepers").mkdir()
    record_path(user_folders).with_suffix(".log").symlink_to("/dev/full")
    (user_folders / "logs").write_text("a file where a folder should be")
    done = start(user_folders)
    assert done.returncode != 0
    assert "FileExistsError" in done.stderr
