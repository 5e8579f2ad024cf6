"""Which code is the user's own: what a target needs and what nobody has installed on the host."""

from __future__ import annotations

import ast
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# These are on every host that has a session; the keeper brings this package itself.
_ALWAYS_THERE = frozenset({"simmate_remote", "dask", "distributed", "cloudpickle", "__main__"})
_SKIPPED = frozenset({"__pycache__", "node_modules"})


def own_code(module: str) -> dict[str, Path]:
    """Find the top-level packages and modules of the user that a module needs.

    That is the module itself and, through any number of steps, whatever an ``import`` anywhere in that code names
    (inside functions, too), as far as it lies outside the standard library and every ``site-packages``. A package
    that is installed in editable mode lies outside of them, and is the user's own.

    Args:
        module: The name of a module that is imported already.

    Returns:
        The file of each such module, or the folder of each such package, by its top-level name.
    """
    found: dict[str, Path] = {}
    waiting = [module.partition(".")[0]]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        place = _place(name)
        if place is None:
            continue
        found[name] = place
        for file in files_of(place):
            if file.suffix == ".py":
                new = _imports(file) - seen
                seen |= new
                waiting.extend(new)
    return dict(sorted(found.items()))


def files_of(place: Path) -> Iterator[Path]:
    """Walk through a module's or package's files, without caches, hidden folders and environments."""
    if place.is_file():
        yield place
        return
    for folder, subfolders, files in os.walk(place):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name not in _SKIPPED and not Path(folder, name, "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix != ".pyc" and path.is_file():
                yield path


def _place(name: str) -> Path | None:
    """Return the file or folder of a top-level module, if it is the user's own."""
    if name in sys.stdlib_module_names or name in _ALWAYS_THERE:
        return None
    if (module := sys.modules.get(name)) is not None and module is sys.modules["__main__"]:
        return Path(str(module.__file__))  # the script that is running, which nobody has imported
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    if not folders and not spec.has_location:
        return None
    place = Path(folders[0] if folders else str(spec.origin))
    return None if _is_installed(place) else place


def _is_installed(place: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(place.parts):
        return True
    return any(place.resolve().is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    # The standard library's parent paths are not asked for by prefix: a checkout may lie inside of sys.prefix.
    folders = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(Path(folder).resolve() for folder in [*folders, *site.getsitepackages(), site.getusersitepackages()])


def _imports(file: Path) -> set[str]:
    """List the top-level names that a source file imports absolutely, anywhere in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # a template, or code for another Python: whoever imports it will hear of it
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names
