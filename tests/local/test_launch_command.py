"""The command that finds a Python on the host, as the login shells there understand it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from simmate_remote.keeper.shell_command import MADE_FOR, shell_command

NONCE = "0123456789abcdef"
SHELLS = [shell for shell in ("sh", "bash", "dash", "csh", "tcsh", "fish", "zsh", "ksh") if shutil.which(shell)]
NAMES = [
    "a space",
    "'single'",
    '"double"',
    "$HOME",
    "$(touch x)",
    "a;touch x",
    "größe",
    "100%s",
    "back\\slash",
    "!1",
    "*",
]


def run(shell: str, python: str | None, home: Path, folder: str = "~/none") -> str:
    """Run the command in a shell, with a program that prints that it ran; give what was printed."""
    program = b"print('ran', flush=True)"
    done = subprocess.run(
        [shell, "-c", shell_command(python, folder, NONCE)],
        input=b"%d\n" % len(program) + program,
        capture_output=True,
        check=False,
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        timeout=30,
    )
    return done.stdout.decode()


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("shell", SHELLS)
def test_any_path_of_a_python_is_taken_as_it_is(shell: str, user_folders: Path) -> None:
    for name in NAMES:
        python = user_folders / name / "bin" / "python"
        # Without its packages it starts in a third of the time, and here it starts three hundred times.
        script(python, f'#!/bin/sh\ntouch "{user_folders}/took"\nexec {sys.executable} -S "$@"\n')
        for wish in (str(python), str(python.parent.parent), f"~/{name}"):
            assert "ran" in run(shell, wish, user_folders), wish
            (user_folders / "took").unlink()
    assert not (user_folders / "x").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_python_that_is_missing_or_too_old_is_told(shell: str, user_folders: Path) -> None:
    assert f"{NONCE} {{}}\n" in run(shell, "/nowhere/python", user_folders)
    assert f"{NONCE} {{}}\n" in run(shell, "-c", user_folders)
    old = user_folders / "old"
    script(old, f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2)\n$2" "$3"\n')
    answer = run(shell, str(old), user_folders)
    assert f"{NONCE} {{}} {sys.executable} : 3 9 2\n" in answer
    assert "ran" not in answer


@pytest.mark.parametrize("names", [["python3"], ["python"], ["python3", "python"]])
def test_without_a_wish_a_python_is_found(
    names: list[str], user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        script(user_folders / "bin" / name, f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    monkeypatch.setenv("PATH", str(user_folders / "bin"))
    assert "ran" in run("/bin/sh", None, user_folders, "~/our folder")


def test_without_a_wish_the_python_that_has_distributed_is_preferred(
    user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(user_folders / "bin" / "python3", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    script(user_folders / "bin" / "python", f'#!/bin/sh\necho preferred >&2; exec {sys.executable} "$@"\n')
    monkeypatch.setenv("PATH", str(user_folders / "bin"))
    done = subprocess.run(
        ["/bin/sh", "-c", shell_command(None, "~/none", NONCE)],
        input=b"12\nprint('ran')",
        capture_output=True,
        check=True,
        env={"HOME": str(user_folders), "PATH": os.environ["PATH"]},
        timeout=30,
    )
    assert done.stdout == b"ran\n"
    assert done.stderr == b"preferred\n"


def environment(folder: Path, name: str) -> Path:
    """Make an environment as `setup` does, whose interpreter says by which path it was called; give its folder."""
    place = folder / "environments" / name
    script(place / "bin" / "python", f'#!/bin/sh\n[ "$1" = -c ] && echo "called $0" >&2\nexec {sys.executable} "$@"\n')
    link = folder / "environment"
    link.unlink(missing_ok=True)
    link.symlink_to(f"environments/{name}")
    return place


def called(python: str | None, home: Path, shell: str = "/bin/sh") -> list[str]:
    """Run the command, and give by which path the environment's interpreter was called."""
    done = subprocess.run(
        [shell, "-c", shell_command(python, "~/our 'folder'", NONCE)],
        input=b"12\nprint('ran')",
        capture_output=True,
        check=True,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "CDPATH": "/tmp"},
        timeout=30,
    )
    assert done.stdout == b"ran\n"
    return [line.removeprefix("called ") for line in done.stderr.decode().splitlines() if line.startswith("called ")]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_environment_is_called_by_its_own_name_and_not_by_the_link_to_it(shell: str, user_folders: Path) -> None:
    for name in ("one", "two"):
        place = environment(user_folders / "our 'folder'", name)
        assert set(called(None, user_folders, shell)) == {str(place / "bin/python")}


def test_the_environment_stands_in_for_the_python_that_it_was_made_from_alone(user_folders: Path) -> None:
    place = environment(user_folders / "our 'folder'", "one")
    for wish in (sys.executable, "~/a venv"):
        script(user_folders / "a venv" / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        assert called(wish, user_folders) == []
        (place / MADE_FOR).write_text(f"{wish}\n")
        assert called(wish, user_folders) == [str(place / "bin/python")]
    assert called(sys.executable, user_folders) == []
