"""Which code a target needs: the user's own, which nobody has installed on the host, and what is installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# These are on every host that has a session; the keeper brings this package itself.
_ALWAYS_THERE = frozenset({"simmate_remote", "dask", "distributed", "cloudpickle", "__main__"})
_SKIPPED = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True)
class InstalledCode:
    """Code that is installed here, and is not sent.

    Args:
        holder: The top-level package or module that holds the target; empty if that is the user's own.
        imported: Those that the target's module imports, and whatever modules of the user's own it leads to. What other
            modules of the same packages import, such as tests, does not matter to it.
    """

    holder: str
    imported: tuple[str, ...]


@dataclass(frozen=True)
class NeededCode:
    """All code that a target needs beside the standard library and what every host has.

    Args:
        own: The file of each module of the user's own, or the folder of each package, by its top-level name.
        installed: The rest.
    """

    own: dict[str, Path]
    installed: InstalledCode


def needed_code(module: str) -> NeededCode:
    """Find the top-level packages and modules that a module needs.

    The user's own are the module itself and, through any number of steps, whatever an ``import`` anywhere in that
    code names (inside functions, too), as far as it lies outside the standard library and every ``site-packages``.
    A package that is installed in editable mode lies outside of them, and is the user's own.

    Args:
        module: The name of a module that is imported already.
    """
    top = module.partition(".")[0]
    own: dict[str, Path] = {}
    installed: set[str] = set()
    named: dict[str, set[str]] = {}
    waiting = [top]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        place = _place(name)
        if place is None:
            continue
        if _is_installed(place):
            installed.add(name)
            # Of an installed package, what else it imports is the business of whoever has packed it.
            sources = {module: Path(str(sys.modules[module].__file__))} if name == top else {}
        else:
            own[name] = place
            sources = _modules(name, place)
        for inside, file in sources.items():
            named[inside] = _imports(file, inside)
            new = _tops(named[inside]) - seen
            seen |= new
            waiting.extend(new)
    holder = top if top in installed else ""
    imported = (installed & _tops(_led_to(module, named))) - {holder}
    return NeededCode(dict(sorted(own.items())), InstalledCode(holder, tuple(sorted(imported))))


def _modules(name: str, place: Path) -> dict[str, Path]:
    """Give the source of each module of a top-level package, or of one that is a file, by its name."""
    if place.is_file():
        return {name: place}
    found = {}
    for file in files_of(place):
        if file.suffix == ".py":
            parts = file.relative_to(place).with_suffix("").parts
            found[".".join((name, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = file
    return found


def _led_to(module: str, named: dict[str, set[str]]) -> set[str]:
    """Give all names that a module imports, and the modules of the user's own that this leads to, itself included."""
    reached: set[str] = set()
    waiting = [module]
    names = {module}
    while waiting:
        parts = waiting.pop().split(".")
        # With a module, the packages that it is in are imported.
        for length in range(1, len(parts) + 1):
            inside = ".".join(parts[:length])
            if inside in named and inside not in reached:
                reached.add(inside)
                names |= named[inside]
                waiting.extend(named[inside])
    return names


def _tops(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


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
    """Return the file or folder of a top-level module, if it is not among those that are everywhere."""
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
    return Path(folders[0] if folders else str(spec.origin))


def _is_installed(place: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(place.parts):
        return True
    return any(place.resolve().is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    # The standard library's parent paths are not asked for by prefix: a checkout may lie inside of sys.prefix.
    folders = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(Path(folder).resolve() for folder in [*folders, *site.getsitepackages(), site.getusersitepackages()])


def _imports(file: Path, module: str) -> set[str]:
    """List what a source file imports, anywhere in it: modules, and names that may be modules, by their full names."""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # a template, or code for another Python: whoever imports it will hear of it
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            begin = ".".join([*above, *filter(None, [node.module])])
            if begin:
                names |= {begin, *(f"{begin}.{alias.name}" for alias in node.names)}
    return names
