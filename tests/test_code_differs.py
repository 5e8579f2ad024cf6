"""Installed code that is another one on the host than here: said before anything runs, with what differs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.errors import CodeDiffersError, CodeDiffersWarning
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.target import load_target
from tests.boxes import Box
from tests.hosts import host_of

NAMES = ("flowkit", "tablekit", "toolkit", "lonely")
FLOWS = """
from simmate_remote import workflow
@workflow
def answer() -> int:
    return {answer}
"""
MINE = """
import tablekit
import {name}
def run() -> int:
    return {name}.answer()
"""


def package(place: Path, name: str, version: str, text: str) -> None:
    """Install a package of one module."""
    (place / name).mkdir(parents=True, exist_ok=True)
    (place / name / "__init__.py").write_text(text)
    about = place / f"{name}-{version}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (about / "top_level.txt").write_text(name)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder of installed packages of this side."""
    place = tmp_path / "here/site-packages"
    package(place, "flowkit", "1.0", FLOWS.format(answer=42))
    package(place, "tablekit", "3.1", "")
    package(place, "toolkit", "1.0", "def answer(): return 42\n")
    (place / "lonely.py").write_text("def answer(): return 42\n")
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    yield place
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def there(box: Box, tmp_path: Path) -> Iterator[Client]:
    """Give the client of a host on which some packages are others."""
    place = tmp_path / "there/site-packages"
    package(place, "flowkit", "1.1", FLOWS.format(answer=43))
    package(place, "tablekit", "3.1", "")
    package(place, "toolkit", "1.0", "def answer(): return 0\n")
    environment = f"{box.home}/environment"
    parent = box.run(f"{box.python} -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'").stdout.strip()
    box.run(f"{box.python} -m venv --without-pip {environment}")
    box.run(f"cd {environment} && ln -s lib/python*/site-packages packages")
    files = {file.relative_to(place): file.read_text() for file in place.rglob("*") if file.is_file()}
    for inside, text in {**files, Path("parent.pth"): parent}.items():
        file = Path(environment, "packages", inside)
        box.run(f"mkdir -p {file.parent} && printf %s {shlex.quote(text)} > {file}")
    with RemoteCluster(host_of(box, python=f"{environment}/bin/python")) as cluster, Client(cluster) as client:
        yield client
    box.run(f"rm -r {environment}")


@pytest.mark.slow_in_the_lab
def test_installed_code_that_differs(installed: Path, there: Client, tmp_path: Path) -> None:
    answer = load_target("flowkit:answer")
    for _ in range(2):
        with pytest.raises(CodeDiffersError) as raised:
            run_target(answer, {}, there, host="lab-box")
        said = str(raised.value)
        assert "flowkit, which holds what is to run, is another version there: 1.0 here, 1.1 there" in said
        assert "nothing was run" in said
        assert "simmate-remote setup lab-box" in said
        assert f"here:  {installed}/flowkit/__init__.py" in said

    def outcome_of(name: str) -> object:
        (tmp_path / f"uses_{name}.py").write_text(MINE.format(name=name))
        return run_target(load_target(f"{tmp_path}/uses_{name}.py:run"), {}, there, host="lab-box").result

    with pytest.warns(CodeDiffersWarning, match="toolkit, which the code to run imports, has other content") as told:
        assert outcome_of("toolkit") == 0
    assert str(told[0].message).endswith(
        "there in the same version, 1.0: toolkit/__init__.py; `simmate-remote setup lab-box` makes them equal"
    )
    with pytest.warns(CodeDiffersWarning, match="lonely, which the code to run imports, is not installed there"):
        assert outcome_of("lonely") is None


def test_equal_code_is_not_worth_a_word(installed: Path, there: Client, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import tablekit\nimport numpy\ndef run(): return 1\n")
    assert run_target(load_target(f"{tmp_path}/own.py:run"), {}, there).get() == 1
