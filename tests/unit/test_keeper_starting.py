"""Starting a keeper without any link: through a program in between, and where it cannot be started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import simmate_remote
from simmate_remote.keeper.host.record import Record, read_record, record_path
from tests.hosts import wait_until

PACKAGE = str(Path(simmate_remote.__file__).parents[1])
START = (
    "import json, sys; from pathlib import Path; from simmate_remote.keeper.host.starting import start_keeper; "
    "start_keeper(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]))"
)
# As systemd-run may do: nothing but the three standard descriptors comes through.
IN_BETWEEN = "import os, sys; os.closerange(3, 1024); os.execvp(sys.argv[1], sys.argv[1:])"
PROCESS = {"name": "waiting", "module": "antigravity_none", "environment": {}}


def start(folder: Path, *, prefix: tuple[str, ...] = (), **order: Any) -> subprocess.CompletedProcess[str]:
    (folder / "keepers").mkdir(parents=True, exist_ok=True)
    complete = {
        "lease": 60.0, "process": PROCESS, "package": "p", "address": "192.0.2.1", "port": 22,
        "warnings": [["this host ends all", "loginctl enable-linger"]], **order,
    }  # fmt: skip
    words = [str(folder), PACKAGE, json.dumps(complete), json.dumps(prefix)]
    return subprocess.run(
        [sys.executable, "-c", START, *words], capture_output=True, text=True, check=False, timeout=60
    )


def record_in(folder: Path) -> Record:
    record = read_record(record_path(folder))
    assert record is not None
    return record


def end(folder: Path) -> None:
    record = record_in(folder)
    os.kill(record.pid, signal.SIGTERM)
    wait_until(lambda: not Path(record.runtime).exists(), 20, "the keeper and its guardian ended")


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
