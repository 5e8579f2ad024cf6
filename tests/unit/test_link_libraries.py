"""asyncssh's import looks for optional libraries without starting a compiler."""

from __future__ import annotations

import ctypes.util
import sys
from pathlib import Path

import pytest

from simmate_remote.link.libraries import only_installed_libraries

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there a library is looked for by compilers")


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a compiler before all others that takes note of being asked, and give where."""
    asked = tmp_path / "asked"
    program = tmp_path / "gcc"
    program.write_text(f"#!/bin/sh\n: > {asked}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return asked


def test_what_is_not_installed_is_not_looked_for_by_compilers(compiler: Path) -> None:
    with only_installed_libraries():
        assert ctypes.util.find_library("c")
        assert ctypes.util.find_library("of-nobody") is None
    assert not compiler.exists()


def test_whoever_asks_afterwards_has_the_usual_answer(compiler: Path) -> None:
    with only_installed_libraries():
        pass
    assert ctypes.util.find_library("of-nobody") is None
    assert compiler.exists()


def test_a_path_of_ones_own_is_searched_as_usual(compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(compiler.parent))
    with only_installed_libraries():
        assert ctypes.util.find_library("of-nobody") is None
    assert compiler.exists()
