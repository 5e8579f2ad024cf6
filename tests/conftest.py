"""Fixtures for all tests: private user folders, and hosts to connect to."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from simmate_remote.testing import EmbeddedHost
from tests.boxes import EmbeddedBox, LabBox, assert_nothing_left
from tests.databases import end_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.boxes import Box
    from tests.lab import Lab

USER_FOLDERS = {
    "HOME": "home",
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "run",
    "SIMMATE_REMOTE_SLOTS": "slots",
}
# How long examples take is the machine's affair; a test that hangs has its time limit.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SHARED_LAB = pytest.StashKey["Lab"]()


def pytest_configure() -> None:
    """Let Ctrl-C mean something, also in what is started here: a shell's background job inherits that it is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave what takes long over the lab, and is tested over the embedded host too, to CI."""
    if item.get_closest_marker("slow_in_the_lab") and item.get_closest_marker("lab"):
        item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def user_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give every test a user who has no files, no inventory and no SSH agent; the folders are below what it gives."""
    # Not tmp_path, which is long: a Unix socket in the run folder may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="user-", dir="/tmp"))
    before = set(os.environ)
    for variable, name in USER_FOLDERS.items():
        (folder / name).mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(folder / name))
    for variable in ("SIMMATE_REMOTE_DATABASE", "SIMMATE_REMOTE_HOSTS", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(variable, raising=False)
    yield folder
    end_database(folder / "data")
    shutil.rmtree(folder)
    # A LocalCluster leaves variables of Dask's in this process's environment.
    for variable in {name for name in os.environ if "DASK" in name} - before:
        del os.environ[variable]


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give the lab, one for the whole test session; skip where it cannot be had, except in CI."""
    from tests.lab import Lab

    if missing := Lab.missing():
        reason, command = missing
        message = f"the lab cannot be had: {reason}; this would enable it: {command}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{message} (in CI nothing is skipped)", pytrace=False)
        pytest.skip(message)
    with Lab.up() as lab:
        request.config.stash[SHARED_LAB] = lab
        yield lab
        del request.config.stash[SHARED_LAB]


@pytest.fixture(autouse=True)
def lab_as_found(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let every test leave the shared lab as it found it."""
    yield
    if request.node.get_closest_marker("lab") and (lab := request.config.stash.get(SHARED_LAB, None)):
        from tests.lab.leftovers import assert_as_found

        assert_as_found(lab)


@pytest.fixture(params=["embedded", pytest.param("lab", marks=pytest.mark.lab)])
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """Give a host to connect to, each kind in turn; after the test nothing may run on it any more."""
    if request.param == "embedded":
        with EmbeddedHost() as host:
            yield (embedded := EmbeddedBox(host))
            assert_nothing_left(embedded)
    else:
        yield (real := LabBox(request.getfixturevalue("lab")))
        assert_nothing_left(real)
        real.forget_runs()


@pytest.fixture
def no_history(box: Box) -> Iterator[None]:
    """Let the box forget what earlier tests left there, and this one: records, last words, packages, logs."""
    box.run("rm -rf ~/simmate-remote/*")
    yield
    box.run("rm -rf ~/simmate-remote/*")


@pytest.fixture
def lab_box(lab: Lab) -> Iterator[Box]:
    """Give the lab's host, for what only a real machine behind a real network can show."""
    yield (box := LabBox(lab))
    assert_nothing_left(box)
    box.forget_runs()
