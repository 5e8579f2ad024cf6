"""The key that ``setup`` offers to install: which one it is, and what it never touches."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest

from simmate_remote.environment.enrolment import _key


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / ".ssh/id_ed25519"
    made, line = _key(path)
    assert made
    assert line.startswith("ssh-ed25519 ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _key(path) == (False, line)


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_public_half_that_is_missing_comes_from_the_private_one(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "id"
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(path)
    if content is not None:
        Path(f"{path}.pub").write_text(content)
    assert _key(path) == (False, key.export_public_key().decode().strip())


def test_a_public_half_whose_key_is_in_an_agent_is_not_replaced(tmp_path: Path) -> None:
    path, public = tmp_path / "id_ed25519", tmp_path / "id_ed25519.pub"
    line = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    public.write_text(line)
    with pytest.raises(ValueError, match="is there, and"):
        _key(path)
    assert public.read_text() == line
    assert not path.exists()
