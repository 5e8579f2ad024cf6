"""Own code on a cluster that knows nothing of it: edited, in several versions, imported in every way."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from simmate_remote.errors import ClusterError
from simmate_remote.workflows.own_code import InstalledCode, needed_code
from simmate_remote.workflows.running import RunOutcome, run_target
from simmate_remote.workflows.target import load_target
from simmate_remote.workflows.watching import Update
from tests.local.clusters import cluster_elsewhere
from tests.local.test_workflows_running import alone


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with cluster_elsewhere(folder) as (address, _), Client(address, set_as_default=False) as client:
        yield client


def test_edited_code_is_seen_and_versions_do_not_mix(remote: Client, tmp_path: Path) -> None:
    text = """
    from distributed import worker_client
    def inner(x):
        return {version}
    def f():
        with worker_client() as client:
            return client.gather(client.map(inner, range(8)))
    """
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    first = alone(tmp_path / "one", text.format(version=1))
    assert run_target(first, {}, remote).get() == [1] * 8
    second = alone(tmp_path / "two", text.format(version=22))
    assert run_target(second, {}, remote).get() == [22] * 8
    assert run_target(alone(tmp_path / "one", text.format(version=333)), {}, remote).get() == [333] * 8
    assert run_target(alone(tmp_path / "one", text.format(version=1)), {}, remote).get() == [1] * 8


def test_two_versions_at_the_same_time_in_one_worker(tmp_path: Path) -> None:
    text = """
    import threading
    from distributed import get_worker
    def version():
        return {version}
    def f(folder: str, me: str, other: str):
        from pathlib import Path
        Path(folder, me).touch()
        for _ in range(2000):
            if Path(folder, other).exists():
                return version(), get_worker().address
            threading.Event().wait(0.01)
    """
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with cluster_elsewhere(tmp_path, workers=1) as (address, _), Client(address, set_as_default=False) as client:
        outcomes: dict[str, RunOutcome] = {}

        def start_the_other(update: Update) -> None:
            if update.state == "running" and not outcomes:
                second = alone(tmp_path / "two", text.format(version=2))
                given = {"folder": str(tmp_path), "me": "b", "other": "a"}
                outcomes["b"] = run_target(second, given, client)

        first = alone(tmp_path / "one", text.format(version=1))
        given = {"folder": str(tmp_path), "me": "a", "other": "b"}
        outcomes["a"] = run_target(first, given, client, on_update=start_the_other)
    assert outcomes["a"].get() == (1, outcomes["b"].get()[1])
    assert outcomes["b"].get()[0] == 2
    assert not [file for file in tmp_path.rglob("*") if "shipped_" in file.name]


def test_a_cluster_that_cannot_take_in_the_code(
    monkeypatch: pytest.MonkeyPatch, remote: Client, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(remote, "register_plugin", refuse)
    with pytest.raises(ClusterError, match=r"could not take in the code of refused.*disk full"):
        run_target(alone(tmp_path, "def f(): ...", name="refused"), {}, remote)


def test_all_ways_to_import_own_code(remote: Client, tmp_path: Path) -> None:
    """A file with the name of a standard module, and imports late, dotted, renamed, circular and without __init__."""
    for name, text in {
        "late.py": "from statistics_ import f\nvalue = 1",
        "plain/inner/leaf.py": "value = 2",
        "regular/__init__.py": "import regular.other",
        "regular/other.py": "from regular import third\nvalue = third.value",
        "regular/third.py": "value = 3",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "statistics.py").write_text(
        textwrap.dedent(
            """
            import json
            import plain.inner.leaf
            import regular.other as other
            def f():
                import late
                from plain.inner import leaf
                assert late.f is f and leaf is plain.inner.leaf
                return late.value, plain.inner.leaf.value, other.value, json.dumps(1)
            """
        )
    )
    function = load_target(f"{tmp_path}/statistics.py:f")
    assert function.module == "statistics_"
    assert run_target(function, {}, "serial").get() == (1, 2, 3, "1")
    assert run_target(function, {}, remote).get() == (1, 2, 3, "1")


def test_what_must_be_there_is_what_the_imports_of_the_module_lead_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other modules of the same package travel, and what they import need not be on the host."""
    installed = tmp_path / "site-packages"
    for name in ("by_package", "by_relative", "by_dots", "in_function", "by_nobody", "by_sibling"):
        (installed / name).mkdir(parents=True)
        (installed / name / "__init__.py").touch()
    for name, text in {
        "mine/__init__.py": "import by_package",
        "mine/work.py": """
            from . import near
            import other.deep.leaf
            def f():
                import in_function
                from .inner import again as once
        """,
        "mine/near.py": "import by_relative",
        "mine/inner/__init__.py": "from ..inner import again",
        "mine/inner/again.py": "from mine.work import f",
        "mine/tests/test_work.py": "import by_nobody, third",
        "other/deep/leaf.py": "from by_dots.name import thing",
        "other/deep/sibling.py": "import by_sibling",
        "third.py": "import by_nobody",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    (installed / "by_dots/name.py").write_text("thing = 1")
    monkeypatch.setattr(sys, "path", [str(installed), str(tmp_path), *sys.path])
    target = load_target(f"{tmp_path}/mine/work.py:f")
    needed = needed_code(target.module)
    assert sorted(needed.own) == ["mine", "other", "third"]
    assert needed.installed == InstalledCode("", ("by_dots", "by_package", "by_relative", "in_function"))
    for name in [each for each in sys.modules if each.partition(".")[0] in ("mine", "other", "by_dots", "by_package")]:
        del sys.modules[name]


def test_the_first_error_of_a_class_of_own_code_is_as_clear_as_any(tmp_path: Path) -> None:
    """Dask sends an exception with what it was raised in the course of, and cannot read such a class here."""
    function = alone(
        tmp_path,
        """
        class Awkward(Exception):
            def __init__(self, one, other):
                super().__init__(f"{one} {other}")
        def f():
            raise Awkward(1, 2)
        """,
        name="awkward_first",
    )
    with cluster_elsewhere(tmp_path, workers=1) as (address, _), Client(address, set_as_default=False) as client:
        for _ in range(2):
            assert str(run_target(function, {}, client).error) == "awkward_first.Awkward: 1 2"
