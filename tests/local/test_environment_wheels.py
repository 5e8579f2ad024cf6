"""Wheels for another machine, collected with pip from a folder that stands for an index."""

from __future__ import annotations

import errno
import os
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simmate_remote.environment import builds
from simmate_remote.environment.builds import folder_key
from simmate_remote.environment.local import Distribution, Source, Wanted
from simmate_remote.environment.platform_tags import HostPlatform, local_platform
from simmate_remote.environment.store import WheelStore, file_sha256
from simmate_remote.environment.wheels import collect
from simmate_remote.errors import SetupError, WheelMissingError
from tests.setups import write_wheel

OURS = f"cp{sys.version_info[0]}{sys.version_info[1]}"
GLIBC = HostPlatform("x86_64", "glibc", (2, 28))
OLD = HostPlatform("x86_64", "glibc", (2, 17))
MUSL = HostPlatform("aarch64", "musl", (1, 2))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that pip takes for its index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> WheelStore:
    return WheelStore(tmp_path / "store")


def names(wanted: Wanted, platform: HostPlatform, store: WheelStore, steps: list[str] | None = None) -> list[str]:
    step = (steps if steps is not None else []).append
    return [each.path.name for each in collect(wanted, platform, store, host="lab-box", step=step)]


def installed(*pins: str) -> Wanted:
    return Wanted(tuple(Distribution(*pin.split("=="), ()) for pin in pins))


def test_each_host_gets_the_wheels_that_run_there(index: Path, store: WheelStore) -> None:
    for tag in ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "musllinux_1_1_aarch64", "manylinux_2_17_aarch64"):
        write_wheel(index, "quick", "1.0", {}, f"{OURS}-{OURS}-{tag}")
    write_wheel(index, "plain", "2.0", {})
    write_wheel(index, "stable", "3.0", {}, "cp36-abi3-musllinux_1_2_aarch64")
    assert names(installed("plain==2.0", "quick==1.0"), GLIBC, store) == [
        "plain-2.0-py3-none-any.whl",
        f"quick-1.0-{OURS}-{OURS}-manylinux_2_28_x86_64.whl",
    ]
    assert names(installed("quick==1.0"), OLD, store) == [f"quick-1.0-{OURS}-{OURS}-manylinux2014_x86_64.whl"]
    assert names(installed("quick==1.0", "stable==3.0"), MUSL, store) == [
        f"quick-1.0-{OURS}-{OURS}-musllinux_1_1_aarch64.whl",
        "stable-3.0-cp36-abi3-musllinux_1_2_aarch64.whl",
    ]


def test_the_second_time_nothing_is_fetched(index: Path, store: WheelStore) -> None:
    write_wheel(index, "plain", "2.0", {}).rename(index / "plain-2.0-py3-none-any.whl")
    steps: list[str] = []
    first = names(installed("plain==2.0"), GLIBC, store, steps)
    assert steps == ["fetching 1 wheel"]
    for path in index.iterdir():
        path.unlink()
    assert names(installed("plain==2.0"), MUSL, store, steps) == first
    assert steps == ["fetching 1 wheel"]


def test_all_that_cannot_be_had_are_named(index: Path, store: WheelStore) -> None:
    write_wheel(index, "plain", "2.0", {})
    write_wheel(index, "quick", "1.0", {}, f"{OURS}-{OURS}-manylinux_2_36_x86_64")
    with pytest.raises(WheelMissingError, match=r"these 2 cannot be had for x86_64, glibc 2\.28") as caught:
        names(installed("plain==2.0", "quick==1.0", "absent==0.1"), GLIBC, store)
    text = str(caught.value)
    assert "quick==1.0" in text
    assert "absent==0.1" in text
    assert "plain" not in text


BACKEND = """
import zipfile

def build_wheel(folder, config=None, metadata=None):
    name = "mine-1.0-{tag}.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as archive:
        archive.write("mine.py")
        archive.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
        archive.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        archive.writestr("mine-1.0.dist-info/RECORD", "")
    return name
"""


def project(folder: Path, content: str, *, pure: bool = True) -> Distribution:
    """Write a project that builds itself, without anything from an index."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(content)
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbackend-path = ['.']\nbuild-backend = 'back'\n"
    )
    (folder / "back.py").write_text(BACKEND.format(tag="py3-none-any" if pure else f"{OURS}-{OURS}-linux_x86_64"))
    return Distribution("mine", "1.0", (), Source(folder=folder))


def test_a_local_project_is_built_once_for_each_content(tmp_path: Path, index: Path, store: WheelStore) -> None:
    steps: list[str] = []

    def digest() -> str:
        wanted = Wanted((project(tmp_path / "mine", content),))
        (wheel,) = collect(wanted, GLIBC, store, host="lab-box", step=steps.append)
        return wheel.sha256

    content = "a = 1\n"
    first = digest()
    assert digest() == first
    assert steps == ["building mine"]
    content = "a = 2\n"
    assert digest() != first
    content = "a = 1\n"
    assert digest() == first
    assert steps == ["building mine"] * 2


def test_what_comes_as_source_alone_is_built_once(tmp_path: Path, index: Path, store: WheelStore) -> None:
    folder = tmp_path / "mine-1.0"
    project(folder, "a = 1\n")
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    with tarfile.open(index / "mine-1.0.tar.gz", "w:gz") as archive:
        archive.add(folder, "mine-1.0")
    steps: list[str] = []
    assert names(installed("mine==1.0"), GLIBC, store, steps) == ["mine-1.0-py3-none-any.whl"]
    assert steps == ["fetching 1 wheel", "building mine"]
    assert names(installed("mine==1.0"), GLIBC, store, steps) == ["mine-1.0-py3-none-any.whl"]
    assert len(steps) == 2, "the index was asked again for what it does not have"


def test_a_wheel_of_ones_own_that_was_made_anew_is_taken(tmp_path: Path, index: Path, store: WheelStore) -> None:
    folder = tmp_path / "my wheels"

    def digest() -> str:
        source = Source(url=(folder / "mine-1.0-py3-none-any.whl").as_uri())
        wanted = Wanted((Distribution("mine", "1.0", (), source),))
        (wheel,) = collect(wanted, GLIBC, store, host="lab-box", step=lambda _: None)
        return wheel.sha256

    path = write_wheel(folder, "mine", "1.0", {"mine.py": b"a = 1\n"})
    first = digest()
    assert first == file_sha256(path)
    path = write_wheel(folder, "mine", "1.0", {"mine.py": b"a = 2\n"})
    assert digest() == file_sha256(path) != first
    path.unlink()
    with pytest.raises(WheelMissingError, match=r"installed from .*my wheels/mine-1\.0-py3-none-any\.whl, which is"):
        digest()


def test_a_project_with_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, index: Path, store: WheelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution = project(tmp_path / "mine", "a = 1\n")

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(builds, "file_sha256", refuse)  # we may be root, who may read everything
    with pytest.raises(WheelMissingError, match=r"cannot be had .*: mine==1\.0(.*\n)*.*Permission denied: .*/mine"):
        names(Wanted((distribution,)), GLIBC, store)


def test_a_project_may_have_names_that_are_no_text(tmp_path: Path) -> None:
    project(tmp_path / "mine", "a = 1\n")
    key = folder_key(tmp_path / "mine")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/mine/\xff.txt")).write_text("x")
    assert folder_key(tmp_path / "mine") != key


def test_a_build_that_fails_says_what_it_said(tmp_path: Path, index: Path, store: WheelStore) -> None:
    wanted = Wanted((project(tmp_path / "mine", "a = 1\n"),))
    (tmp_path / "mine" / "back.py").write_text("raise RuntimeError('no compiler for Fortran')\n")
    with pytest.raises(WheelMissingError) as caught:
        names(wanted, GLIBC, store)
    assert "no compiler for Fortran" in str(caught.value)


def test_what_was_built_and_not_used_for_long_is_forgotten(tmp_path: Path, index: Path, store: WheelStore) -> None:
    def built() -> int:
        return len(list((store.folder / "built").iterdir()))

    names(Wanted((project(tmp_path / "mine", "a = 1\n"),)), GLIBC, store)
    names(Wanted((project(tmp_path / "mine", "a = 2\n"),)), GLIBC, store)
    assert built() == 2
    for shelf in (store.folder / "built").iterdir():
        os.utime(shelf, (0, 0))
    names(Wanted((project(tmp_path / "mine", "a = 2\n"),)), GLIBC, store)  # this one is used again
    names(Wanted((project(tmp_path / "mine", "a = 3\n"),)), GLIBC, store)
    assert built() == 2


def test_what_is_compiled_here_is_refused_where_it_does_not_run(tmp_path: Path, index: Path, store: WheelStore) -> None:
    wanted = Wanted((project(tmp_path / "mine", "a = 1\n", pure=False),))
    with pytest.raises(WheelMissingError, match=r"this cannot be had for aarch64, musl 1\.2: mine==1\.0") as caught:
        names(wanted, MUSL, store)
    assert "does not run there" in str(caught.value)
    own = local_platform()
    if own is not None and own.machine == "x86_64":
        assert names(wanted, own, store) == [f"mine-1.0-{OURS}-{OURS}-linux_x86_64.whl"]


def test_a_project_that_is_gone_is_named(tmp_path: Path, index: Path, store: WheelStore) -> None:
    wanted = Wanted((Distribution("mine", "1.0", (), Source(folder=tmp_path / "gone")),))
    with pytest.raises(WheelMissingError, match=r"mine==1\.0") as caught:
        names(wanted, GLIBC, store)
    assert "not there any more" in str(caught.value)


def test_further_requirements_come_with_what_they_need_and_stay_the_same(index: Path, store: WheelStore) -> None:
    write_wheel(index, "plain", "2.0", {})
    write_wheel(index, "more", "1.0", {})
    steps: list[str] = []
    wanted = Wanted(installed("plain==2.0").distributions, (Requirement("more>=0.5; sys_platform == 'nowhere'"),))
    first = names(wanted, GLIBC, store, steps)
    assert first == ["more-1.0-py3-none-any.whl", "plain-2.0-py3-none-any.whl"]
    write_wheel(index, "more", "1.1", {})
    assert names(wanted, GLIBC, store, steps) == first
    assert steps == ["fetching 1 wheel", "fetching more"]
    with pytest.raises(WheelMissingError, match="none-such"):
        names(Wanted((), (Requirement("none-such"),)), GLIBC, store)


def test_a_wheel_whose_content_changed_is_described_anew(tmp_path: Path, store: WheelStore) -> None:
    path = write_wheel(tmp_path, "plain", "2.0", {"plain.py": b"a = 1\n"})
    before = store.wheel(path)
    assert store.wheel(path) == before
    write_wheel(tmp_path, "plain", "2.0", {"plain.py": b"a = 22\n"})
    assert store.wheel(path).sha256 != before.sha256


def test_files_that_are_no_source_do_not_count(tmp_path: Path) -> None:
    project(tmp_path / "mine", "a = 1\n")
    key = folder_key(tmp_path / "mine")
    for name in (".git/index", "build/lib/mine.py", "__pycache__/mine.pyc", "mine.egg-info/PKG-INFO", ".venv/x.py"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text("x")
    assert folder_key(tmp_path / "mine") == key
    (tmp_path / "mine/data.txt").write_text("x")
    assert folder_key(tmp_path / "mine") != key


def test_a_cache_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(SetupError, match="cannot be made: Not a directory"):
        WheelStore(tmp_path / "cache/wheels")
