"""Sockets get a path that is short enough, wherever an environment says that they should be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from simmate_remote.errors import SessionError
from simmate_remote.inventory import Host
from simmate_remote.inventory.runtime_folder import runtime_folder
from simmate_remote.keeper.host.runtime_folder import make_runtime_folder
from simmate_remote.link.openssh.folder import SocketFolder
from simmate_remote.session.paths import desk_path, errand_path, socket_path

NAMES = ("relative", "x" * 60, "\u00fc" * 30, "\u00fc" * 200)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    path.unlink()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_here(name: str, variable: str, user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(user_folders)
    os.makedirs(name[:120])
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv(variable, name if name == "relative" else str(user_folders / name[:120]))
    host = Host(name="a-host-with-a-name-that-is-long", ssh="lab-box")
    for path in (socket_path(host), desk_path(host), errand_path(host, "a.module")):
        assert path.is_absolute()
        bind(path)
    monkeypatch.chdir("/")
    assert socket_path(host).parent == runtime_folder()


def test_a_runtime_folder_of_somebody_else_is_not_ours(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``su`` and ``sudo -E`` leave it."""
    theirs = Path("/usr")
    if os.getuid() == 0:
        theirs = user_folders / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, -1)
    monkeypatch.setattr("tempfile.tempdir", str(user_folders))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(theirs))
    assert runtime_folder() == user_folders / f"simmate-remote-here-{os.getuid()}"


def test_a_folder_that_cannot_be_made_is_said(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user_folders / "file").touch()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(user_folders / "file"))
    with pytest.raises(SessionError, match="cannot be made: Not a directory"):
        runtime_folder()


@pytest.mark.parametrize("name", ["x" * 20, "x" * 60, "\u00fc" * 20, "\u00fc" * 60])
def test_here_for_the_ssh_program(name: str, user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user_folders / name[:120]).mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(user_folders / name[:120]))
    folder = SocketFolder()
    try:
        bind(folder.path / ("m." + 16 * "x"))
    finally:
        folder.remove()


@pytest.mark.parametrize("name", [*NAMES, "missing"])
def test_on_a_host(name: str, user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(user_folders)
    if name != "missing":
        os.makedirs(name[:120])
    monkeypatch.setenv("TMPDIR", name if name == "relative" else str(user_folders / name[:120]))
    folder = make_runtime_folder()
    try:
        assert folder.is_absolute()
        bind(folder / f"{'n' * 32}-01234567")
    finally:
        folder.rmdir()
