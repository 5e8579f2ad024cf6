"""Which wheels run on a host: by machine and C library, as the packaging standards say."""

from __future__ import annotations

import sys

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from simmate_remote.environment.platform_tags import HostPlatform, local_platform

OURS = f"cp{sys.version_info[0]}{sys.version_info[1]}"


def runs(platform: HostPlatform, wheel: str) -> bool:
    _, _, _, tags = parse_wheel_filename(wheel)
    return not tags.isdisjoint(platform.tags())


def of(text: str) -> HostPlatform:
    return HostPlatform.of(*text.split())


@pytest.mark.parametrize(
    ("host", "tag", "does"),
    [
        ("x86_64 glibc 2.36", "manylinux_2_36_x86_64", True),
        ("x86_64 glibc 2.36", "manylinux_2_37_x86_64", False),
        ("x86_64 glibc 2.17", "manylinux2014_x86_64", True),
        ("x86_64 glibc 2.12", "manylinux2014_x86_64", False),
        ("x86_64 glibc 2.12", "manylinux2010_x86_64", True),
        ("x86_64 glibc 2.5", "manylinux1_x86_64", True),
        ("x86_64 glibc 2.36", "manylinux1_x86_64", True),
        ("x86_64 glibc 2.36", "musllinux_1_1_x86_64", False),
        ("x86_64 glibc 2.36", "manylinux_2_17_aarch64", False),
        ("aarch64 glibc 2.28", "manylinux_2_28_aarch64", True),
        ("aarch64 glibc 2.28", "manylinux2014_aarch64", True),
        ("arm64 glibc 2.28", "manylinux_2_17_aarch64", True),
        ("aarch64 glibc 2.28", "manylinux1_x86_64", False),
        ("x86_64 musl 1.2.3", "musllinux_1_2_x86_64", True),
        ("x86_64 musl 1.2.3", "musllinux_1_1_x86_64", True),
        ("x86_64 musl 1.1.24", "musllinux_1_2_x86_64", False),
        ("x86_64 musl 1.2.3", "manylinux2014_x86_64", False),
        ("ppc64le glibc 2.28", "manylinux_2_17_ppc64le", True),
        ("x86_64 glibc 2.36", "linux_x86_64", True),
    ],
)
def test_platforms(host: str, tag: str, does: bool) -> None:
    for interpreter in (f"{OURS}-{OURS}", "cp37-abi3", "py3-none"):
        assert runs(of(host), f"thing-1.0-{interpreter}-{tag}.whl") is does


@pytest.mark.parametrize("host", ["x86_64 glibc 2.36", "aarch64 musl 1.2.4"])
def test_interpreters(host: str) -> None:
    assert runs(of(host), "thing-1.0-py3-none-any.whl")
    assert runs(of(host), "thing-1.0-py2.py3-none-any.whl")
    assert not runs(of(host), "thing-1.0-cp27-cp27m-any.whl")
    assert not runs(of(host), "thing-1.0-py2-none-any.whl")
    assert not runs(of(host), f"thing-1.0-{OURS}-{OURS}t-any.whl")


def test_a_version_that_cannot_be_read_is_taken_for_an_old_one() -> None:
    assert of("x86_64 glibc what?").version == (2, 17)
    assert HostPlatform.of("x86_64", "musl", "") == HostPlatform("x86_64", "musl", (1, 0))


@pytest.mark.skipif(sys.platform != "linux", reason="the tags of another system are others")
def test_this_machine_has_the_tags_that_pip_sees() -> None:
    platform = local_platform()
    assert platform is not None
    assert set(platform.tags()) == set(sys_tags())


def test_builds_of_another_machine_run_only_where_they_can() -> None:
    old, new, musl = of("x86_64 glibc 2.17"), of("x86_64 glibc 2.36"), of("x86_64 musl 1.2.0")
    assert new.runs_builds_of(old)
    assert new.runs_builds_of(new)
    assert not old.runs_builds_of(new)
    assert not musl.runs_builds_of(old)
    assert not of("aarch64 glibc 2.36").runs_builds_of(new)
    assert not new.runs_builds_of(None)


def test_markers_are_the_hosts() -> None:
    environment = of("aarch64 musl 1.2.3").marker_environment()
    assert environment["platform_machine"] == "aarch64"
    assert environment["sys_platform"] == "linux"
    assert environment["python_version"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
