"""The house: imports only go down it, files stay small, and the host's side imports what the host has."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import simmate_remote

ROOT = Path(simmate_remote.__file__).parent
HOUSE = (
    "cli", "doctor", "integrations", "workflows", "files", "session", "runs", "cluster", "database", "environment",
    "keeper", "link", "streams", "inventory", "errors", "version",
)  # fmt: skip
NOT_THERE = {"asyncssh", "fabric", "paramiko", "platformdirs", "psycopg", "pydantic", "rich", "sqlalchemy", "typer"}
FILES = sorted(ROOT.rglob("*.py"))
FAR_SIDE = [path for path in FILES if path.parent in (ROOT / "keeper/host", ROOT / "files/host", ROOT / "doctor/host")]


def imports(path: Path) -> set[str]:
    """Give the full names of the modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(path: Path) -> set[str]:
    """Give the packages of the house that a file imports from."""
    own = (name.split(".") for name in imports(path) if name.startswith("simmate_remote."))
    return {parts[1] for parts in own if parts[1] in HOUSE or parts[1] == "testing"}


def test_imports_only_go_down_the_house() -> None:
    insides = [path.relative_to(ROOT) for path in FILES]
    assert not {str(inside): above for inside in insides if (above := imports_from_above(inside))}


def imports_from_above(inside: Path) -> set[str]:
    room = inside.parts[0].removesuffix(".py")
    if room in ("testing", "__init__", "__main__"):
        return set()
    allowed = set(HOUSE[HOUSE.index(room) :])
    if room == "link":
        allowed -= {"streams"}
    if inside == Path("cli/demo.py"):
        allowed.add("testing")
    return rooms(ROOT / inside) - allowed


def test_no_file_is_long_or_named_for_nothing() -> None:
    assert not [path for path in FILES if len(path.read_text().splitlines()) > 400]
    assert not {path.stem for path in FILES} & {"utils", "util", "helpers", "helper", "misc", "common"}


def test_the_keeper_imports_nothing_but_the_standard_library_and_what_travels_with_it() -> None:
    assert FAR_SIDE
    for path in FAR_SIDE:
        outside = {each.split(".")[0] for each in imports(path)} - {"simmate_remote"}
        assert outside <= set(sys.stdlib_module_names), path
        assert rooms(path) <= {path.relative_to(ROOT).parts[0], "keeper", "streams", "errors", "version"}, path


def test_what_a_worker_imports_needs_nothing_but_dask() -> None:
    """A host needs a Python with distributed, and nothing else of what this package requires here."""
    script = f"""
import importlib.abc, sys

class Lacking(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {sorted(NOT_THERE)}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Lacking())
for part in ("call", "durable", "resources", "run_handle", "submission", "task", "workflow"):
    __import__(f"simmate_remote.workflows.{{part}}")
import simmate_remote.cluster.host.roles, simmate_remote.database.host.preload, simmate_remote.runs.host.preload
import simmate_remote.runs.host.open_desk
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)
