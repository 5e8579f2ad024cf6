"""Which versions may work together, and what is said of those that may not."""

from __future__ import annotations

import sys

import pytest

from simmate_remote.environment.versions import compare, here
from simmate_remote.errors import DistributedMissingError, RemotePythonError, VersionMismatchError

PYTHON = (*sys.version_info[:2], 99)
PATH = "/opt/an environment/bin/python"


def test_equal_environments_give_no_warning() -> None:
    assert compare("lab-box", "ssh lab-box", PYTHON, PATH, here()) == []


@pytest.mark.parametrize("name", ["distributed", "dask", "cloudpickle", "msgpack"])
def test_what_cannot_work_together_is_refused_with_both_versions_and_the_command_that_mends_it(name: str) -> None:
    with pytest.raises(VersionMismatchError) as caught:
        compare("lab-box", "ssh lab-box", PYTHON, PATH, {**here(), name: "0.9.1"})
    text = str(caught.value)
    ours = here()[name]
    assert "0.9.1" in text
    assert f"{ours} here" in text
    assert "simmate-remote setup lab-box" in str(caught.value.remedies[0].command)
    assert "-m pip install" in text
    assert f"{name}=={ours}" in text
    assert "'/opt/an environment/bin/python'" in text


@pytest.mark.parametrize(("name", "version"), [("numpy", "1.0"), ("numpy", None), ("tornado", "5.0")])
def test_what_may_not_matter_is_a_warning(name: str, version: str | None) -> None:
    (warning,) = compare("lab-box", "ssh lab-box", PYTHON, PATH, {**here(), name: version})
    assert name in warning
    assert (version or "not installed") in warning
    assert warning.endswith("simmate-remote setup lab-box makes them equal")


def test_another_patch_release_is_a_warning() -> None:
    ours = here()["distributed"] or ""
    year_and_month = ".".join(ours.split(".")[:2])
    (warning,) = compare("lab-box", "ssh lab-box", PYTHON, PATH, {**here(), "distributed": f"{year_and_month}.99"})
    assert f"{year_and_month}.99" in warning


def test_another_minor_version_of_python_is_refused() -> None:
    other = (3, sys.version_info.minor + 1, 0)
    with pytest.raises(RemotePythonError, match=rf"3\.{other[1]} there .* 3\.{sys.version_info.minor} here") as caught:
        compare("lab-box", "ssh lab-box", other, PATH, here())
    assert caught.value.remedies[0].command == "simmate-remote setup lab-box"


def test_a_python_without_distributed_is_refused_whatever_its_version() -> None:
    with pytest.raises(DistributedMissingError, match="has no distributed"):
        compare("lab-box", "ssh lab-box", (3, 99, 0), PATH, {**here(), "distributed": None})
