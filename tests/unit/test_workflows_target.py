"""FILE.py:function and package.module:function."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.target import load_target


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty working folder, and forget afterwards what was imported from it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: str, text: str = "") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def test_a_file_is_a_module_of_its_own_and_finds_its_neighbours() -> None:
    write("silicon_n.py", "edge = 5.43")
    write("relax_f.py", "import silicon_n\ndef relax():\n    return silicon_n.edge")
    target = load_target("relax_f.py:relax")
    assert (target.module, target.attribute, target.name) == ("relax_f", "relax", "relax")
    assert target.function() == 5.43


def test_an_edited_file_is_read_anew() -> None:
    for answer in (1, 22):
        write("edited_f.py", f"def answer():\n    return {answer}")
        assert load_target("edited_f.py:answer").function() == answer


def test_a_file_in_a_package_has_its_full_name() -> None:
    write("labpkg/__init__.py")
    write("labpkg/deep/__init__.py")
    write("labpkg/constants.py", "k = 3")
    write("labpkg/deep/work.py", "from ..constants import k\ndef f():\n    return k")
    target = load_target(f"{Path.cwd()}/labpkg/deep/work.py:f")
    assert target.module == "labpkg.deep.work"
    assert target.function() == 3
    assert load_target("labpkg.deep.work:f").function is target.function


def test_the_file_of_a_package_itself() -> None:
    write("initpkg/__init__.py", "def f():\n    return __name__")
    assert load_target("initpkg/__init__.py:f").function() == "initpkg"


@pytest.mark.parametrize("name", ["json.py", "my-script.py", "3d.py", "si relax.py", "pytest.py"])
def test_names_that_are_taken_or_no_names_at_all(name: str) -> None:
    write(name, "def f():\n    return 7")
    before = {one: sys.modules.get(one) for one in ("json", "pytest")}
    assert load_target(f"./{name}:f").function() == 7
    assert {one: sys.modules.get(one) for one in before} == before


def test_objects_with_a_run_method_and_attributes() -> None:
    write(
        "objects_f.py",
        """
        class Relax:
            edge = 2
            def run(self, n=1):
                return self.edge * n
            def other(self):
                return 5
        workflow = Relax()
        """,
    )
    target = load_target("objects_f.py:workflow")
    assert (target.attribute, target.name, target.function(n=3)) == ("workflow.run", "workflow", 6)
    assert load_target("objects_f.py:workflow.other").function() == 5
    with pytest.raises(WorkflowError, match=r"objects_f\.Relax\.edge is a int: neither a function"):
        load_target("objects_f.py:Relax.edge")


@pytest.mark.parametrize("text", ["", "f", "file.py", ":f", "file.py:", "file.py:a b", "file.py:a..b", "m:1x"])
def test_what_names_no_function(text: str) -> None:
    with pytest.raises(WorkflowError, match=r"FILE\.py:function"):
        load_target(text)


def test_closest_names_are_offered() -> None:
    write("estimate.py", "def estimate(): ...\ndef unrelated(): ...")
    with pytest.raises(WorkflowError, match=r"no 'estimat'; did you mean estimate\?") as caught:
        load_target("estimate.py:estimat")
    assert caught.value.remedies[0].command == "simmate-remote run estimate.py:estimate"
    with pytest.raises(WorkflowError, match="it has estimate, unrelated"):
        load_target("estimate.py:zzz")
    with pytest.raises(WorkflowError, match=r"no file .*did you mean estimate\.py"):
        load_target("estimat.py:f")
    with pytest.raises(WorkflowError, match="no module 'estimat'; did you mean estimate"):
        load_target("estimat:f")


def test_a_syntax_error_has_file_and_line() -> None:
    write("broken_f.py", "x = 1\ndef f(:\n    pass")
    with pytest.raises(WorkflowError, match=r"broken_f\.py, line 2: ") as caught:
        load_target("broken_f.py:f")
    assert "def f(:" in str(caught.value)
    assert "broken_f" not in sys.modules


@pytest.mark.parametrize("fault", ["import not_there_at_all", "1 / 0", "import sys; sys.exit(3)"])
def test_what_a_module_raises_is_shown_with_its_line(fault: str) -> None:
    write("faulty_f.py", f"a = 1\n\n{fault}")
    with pytest.raises(WorkflowError, match=r"importing faulty_f\.py failed .*faulty_f\.py, line 3\)") as caught:
        load_target("faulty_f.py:f")
    assert fault in str(caught.value)
    assert "importlib" not in (caught.value.detail or "")


def test_an_import_that_fails_inside_a_package_is_not_a_missing_package() -> None:
    write("innerpkg/__init__.py")
    write("innerpkg/work.py", "import innerpkg.gone")
    with pytest.raises(WorkflowError, match=r"No module named 'innerpkg\.gone'.*line 1"):
        load_target("innerpkg.work:f")


def test_a_package_whose_name_is_taken() -> None:
    write("yaml/__init__.py")
    write("yaml/work.py", "def f(): ...")
    with pytest.raises(WorkflowError):
        load_target("yaml/work.py:f")
