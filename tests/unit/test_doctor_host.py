"""What the doctor looks at on a host, looked at here: folders, programs, mounts, and what is left of ours."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.doctor.host import leftovers, places, programs
from simmate_remote.doctor.host.quota import parse_quota
from simmate_remote.errors import HostFileError
from simmate_remote.inventory.host_file import read_host

DEAD = "simmate-remote-0123456789ab"


def test_a_folder_that_serves_is_left_as_it_was(tmp_path: Path) -> None:
    found = places.look(str(tmp_path))
    assert found["exists"]
    assert [found[name] for name in ("write", "flock", "lockf", "socket")] == [None] * 4
    assert found["free"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_tried_where_it_would_be_made(tmp_path: Path) -> None:
    found = places.look(str(tmp_path / "a/b"))
    assert (found["exists"], found["tried"]) == (False, str(tmp_path))


def test_a_folder_with_a_long_path_has_sockets_too(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    assert places.look(str(folder))["socket"] is None


def test_a_folder_that_cannot_be_written() -> None:
    found = places.look("/proc")
    assert found["write"]
    assert found["type"] == "proc"
    assert places.mount_of("/proc/self")[0] == "/proc"


@pytest.mark.parametrize(
    ("name", "content", "mode", "kind", "problem"),
    [
        ("tool", "#!/bin/sh\n", 0o755, "program", None),
        ("tool", "#!/bin/sh\n", 0o644, "program", "may not be executed"),
        ("table.dat", "1 2 3\n", 0o644, "file", None),
    ],
)
def test_programs_and_data(tmp_path: Path, name: str, content: str, mode: int, kind: str, problem: str | None) -> None:
    path = tmp_path / name
    path.write_text(content)
    path.chmod(mode)
    found = programs.look_at(str(path))
    assert found["kind"] == kind
    assert (found["problem"] is None) == (problem is None)
    assert (problem or "") in (found["problem"] or "")


def test_programs_of_the_system_and_what_is_not_there(tmp_path: Path) -> None:
    assert programs.look({"sh": "sh"})["sh"] == {"path": shutil.which("sh"), "kind": "program", "problem": None}
    assert "no such.x is on PATH" in str(programs.look_at("such.x")["problem"])
    assert programs.look_at(str(tmp_path / "gone"))["problem"] == "No such file or directory"
    assert programs.look_at(str(tmp_path))["problem"] == "the folder is empty"


def test_a_program_whose_library_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ldd").write_text("#!/bin/sh\necho '\tlibmkl.so => not found'; echo '\tlibc.so.6 => /lib/libc.so.6'\n")
    (tmp_path / "ldd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert programs.look_at("/bin/sh")["problem"] == "it cannot be loaded: libmkl.so not found"


def test_a_program_that_may_be_run_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As licences want it: mode 0711."""
    program = tmp_path / "vasp_std"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o711)
    monkeypatch.setenv("PATH", str(tmp_path))

    def refuse(path: object, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("builtins.open", refuse)  # root may read everything
    found = programs.look({"here": "vasp_std", "there": str(program)})
    monkeypatch.undo()
    assert found == {name: {"path": str(program), "kind": "program", "problem": None} for name in ("here", "there")}


def test_folders_of_dead_keepers_and_no_others(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = user_folders / "t"  # the path is short enough for a socket
    place.mkdir()
    monkeypatch.setattr(leftovers, "PARENTS", (str(place),))
    monkeypatch.setenv("TMPDIR", str(place))
    dead, living, busy, young, foreign = (place / name for name in (DEAD, *(DEAD[:-1] + end for end in "cde"), "other"))
    for folder in (dead, living, busy, young, foreign):
        folder.mkdir()
    with contextlib.ExitStack() as open_sockets:

        def listen(folder: Path, waiting: int) -> None:
            listening = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(folder / "handover"))
            listening.listen(waiting)

        listen(living, 1)
        listen(busy, 0)
        open_sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(busy / "handover"))
        for folder in (dead, living, busy, foreign):
            os.utime(folder, (time.time() - 3600,) * 2)
        assert leftovers.remove(str(place / "ours")) == [str(dead)]
    assert sorted(place.iterdir()) == sorted([living, busy, young, foreign])


@given(st.text())
def test_whatever_quota_prints_is_read_or_passed_over(text: str) -> None:
    for found in parse_quota(text):
        assert found["allowed"] >= 0


def test_programs_of_a_host_file(tmp_path: Path) -> None:
    file = tmp_path / "lab-box.yaml"
    file.write_text("ssh: lab\nprograms: {pw.x: pw.x, pseudo: ~/pseudo, abinit: /opt/my codes/abinit}\n")
    assert read_host(file).programs == {"pw.x": "pw.x", "pseudo": "~/pseudo", "abinit": "/opt/my codes/abinit"}


@pytest.mark.parametrize(
    "line", ["{pw.x: bin/pw.x}", "{pw.x: pw.x -in x}", "{pw.x: ''}", "{'p w': pw.x}", "{pw.x: -v}"]
)
def test_programs_that_are_none(tmp_path: Path, line: str) -> None:
    file = tmp_path / "lab-box.yaml"
    file.write_text(f"ssh: lab\nprograms: {line}\n")
    with pytest.raises(HostFileError, match="programs"):
        read_host(file)
