"""What is removed from our folder on the host, and what is in use, or may be."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import KeeperError
from simmate_remote.keeper.host.pruning import UNUSED_MACHINE, UNUSED_PACKAGE, prune
from simmate_remote.keeper.host.record import (
    Record,
    log_path,
    other_records,
    read_record,
    record_path,
    write_record,
    write_whole,
)


def record_of(hostname: str, package: str) -> Record:
    return Record(hostname, "boot", 1, 0.0, "0", package, "/nowhere", "/nowhere", "/nowhere", warnings=())


def made(path: Path, age: float, *, folder: bool = False) -> Path:
    if folder:
        path.mkdir(parents=True)
        (path / "inside").touch()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_packages_go_when_nothing_has_used_them_for_a_day(user_folders: Path) -> None:
    folder = user_folders / "ours"
    (folder / "keepers").mkdir(parents=True)
    other = folder / "keepers" / "login-2.json"
    write_whole(other, record_of("login-2", "used-there")._asdict())
    packages = {
        name: made(folder / "packages" / name, age, folder=True)
        for name, age in [
            ("in-use", 10 * UNUSED_PACKAGE),
            ("used-there", 10 * UNUSED_PACKAGE),
            ("of-today", UNUSED_PACKAGE / 2),
            ("old", UNUSED_PACKAGE * 1.1),
            (".arriving-x", UNUSED_PACKAGE * 1.1),
        ]
    }
    prune(folder, "in-use")
    assert {name for name, path in packages.items() if path.exists()} == {"in-use", "used-there", "of-today"}


def test_machines_that_are_long_gone_leave_nothing(user_folders: Path) -> None:
    folder = user_folders / "ours"
    month = UNUSED_MACHINE * 1.1
    gone = [made(folder / "keepers" / f"gone{ending}", month) for ending in (".json", ".lock", ".log", ".ended")]
    gone.append(made(folder / "logs" / "gone.2020-01-01T00-00-00", month, folder=True))
    own = record_path(folder).stem
    kept = [made(log_path(folder), month), made(folder / "logs" / f"{own}.2020-01-01T00-00-00", month, folder=True)]
    kept += [made(folder / "keepers" / "here.log", 60), made(folder / "logs" / "here.2026", 60, folder=True)]
    prune(folder, "any")
    assert not [path for path in gone if path.exists()]
    assert all(path.exists() for path in kept)


def test_a_folder_that_has_nothing_yet_is_fine(user_folders: Path) -> None:
    (user_folders / "keepers").mkdir()
    prune(user_folders, "any")
    assert list((user_folders / "packages").glob("*")) == []


def test_a_record_reads_as_it_was_written_and_nothing_else_is_one(user_folders: Path) -> None:
    (user_folders / "keepers").mkdir()
    record = record_of("here", "package")
    write_record(user_folders, record)
    found = read_record(record_path(user_folders))
    assert found is not None
    assert found._replace(warnings=()) == record
    for text in ("", "{", "[]", "null", '{"hostname": "x"}', '{"unknown": 1}'):
        record_path(user_folders).write_text(text)
        assert read_record(record_path(user_folders)) is None
    assert list(other_records(user_folders)) == []


def test_what_cannot_be_written_is_said_and_leaves_what_was_there(user_folders: Path) -> None:
    path = user_folders / "kept"
    write_whole(path, {"a": 1})
    with pytest.raises(KeeperError, match="cannot be written: Not a directory"):
        write_whole(path / "below", {"a": 2})
    assert path.read_text() == '{"a": 1}'
    assert [entry.name for entry in user_folders.glob("*kept*")] == ["kept"]


@pytest.mark.parametrize("name", ["packages/0.1-old", "keepers/login-2.json", "logs/login-2.2020-01-01T00-00-00"])
def test_what_another_machine_removes_in_the_same_moment_is_no_error(
    name: str, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = user_folders / "ours"
    keepers = folder / "keepers"
    keepers.mkdir(parents=True)
    going = made(folder / name, 2 * UNUSED_MACHINE)
    if going.suffix == ".json":
        write_whole(going, record_of("login-2", "0.1-new")._asdict())
    usual = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if path == going:
            going.unlink(missing_ok=True)
        return usual(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert list(other_records(folder)) == []
    prune(folder, "0.1-new")
    assert not going.exists()
