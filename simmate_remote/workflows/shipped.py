"""Own code on the host: imported under a name that contains the digest of its content.

The module ``relax`` of one bundle is ``shipped_<digest>.relax`` there, and nothing else is ever called that. So one
worker runs yesterday's and today's version of a file at the same time, or two users' modules of the same name, and
a pickle that names a function or a class leads to exactly the code that it was made with. The code itself need not
know: what it imports by its usual name is looked up in its own bundle first.
"""

from __future__ import annotations

import builtins
import importlib
import io
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

PREFIX = "shipped_"
_folders: dict[str, Path] = {}
_lock = threading.Lock()


def install(digest: str, names: Sequence[str], archive: bytes, folder: Path) -> None:
    """Make a bundle importable in this process.

    Args:
        digest: The bundle's.
        names: The top-level modules inside.
        archive: The zip file.
        folder: Where to unpack it, in a folder of its own.
    """
    with _lock:
        if digest in _folders and _folders[digest].is_dir():
            return
        # A folder that appears under its name is complete, whenever the process ends.
        unpacked = Path(tempfile.mkdtemp(prefix=".code-", dir=folder))
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(unpacked)
        place = folder / f"{PREFIX}{digest}"
        shutil.rmtree(place, ignore_errors=True)
        unpacked.rename(place)
        _folders[digest] = place
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
        importlib.invalidate_caches()
        for loaded in [name for name in list(sys.modules) if f"{name}.".startswith(f"{PREFIX}{digest}.")]:
            del sys.modules[loaded]  # its files were in a folder that is gone
        package = importlib.import_module(f"{PREFIX}{digest}")
        package.__dict__["names"] = frozenset(names)


def folder_of(digest: str) -> str:
    """Return where a bundle is unpacked in this process; empty if it is not."""
    return str(_folders.get(digest, ""))


def remote_name(digest: str, names: Sequence[str], module: str) -> str:
    """Return the name that a module has on the host."""
    return f"{PREFIX}{digest}.{module}" if module.partition(".")[0] in names else module


def shipped_module(module: str) -> tuple[str, tuple[str, ...], str] | None:
    """Give the bundle that a module of this process belongs to; None: it was not shipped.

    Args:
        module: Its name in this process.

    Returns:
        The bundle's digest, its top-level modules, and the name that the module has where the bundle was made.
    """
    top, _, rest = module.partition(".")
    if not top.startswith(PREFIX) or not rest:
        return None
    return top.removeprefix(PREFIX), tuple(sorted(sys.modules[top].__dict__["names"])), rest


def local_name(digest: str, module: str) -> str:
    """Return the name that a module of the host has where the bundle was made."""
    return module.removeprefix(f"{PREFIX}{digest}.")


class _Finder(MetaPathFinder):
    """Finds ``shipped_<digest>`` and what is inside."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        folder = _folders.get(top.removeprefix(PREFIX)) if top.startswith(PREFIX) else None
        if folder is None:
            return None
        if not rest:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            return spec
        found = PathFinder.find_spec(fullname, path, target)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _Loader(found.loader.name, found.loader.path)
        return found


class _Loader(SourceFileLoader):
    """Executes a module so that its own imports begin in its bundle."""

    def exec_module(self, module: ModuleType) -> None:
        home = sys.modules[module.__name__.partition(".")[0]]
        # exec() takes a module's built-in names from here, and so do all functions that the module defines.
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import_for(home)}
        super().exec_module(module)


def _import_for(home: ModuleType) -> Any:
    """Return the ``__import__`` of modules in a bundle."""

    def import_(
        name: str,
        scope: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in home.__dict__["names"]:
            return builtins.__import__(name, scope, local, fromlist or (), level)
        module = builtins.__import__(f"{home.__name__}.{name}", scope, local, fromlist or ("__name__",), 0)
        # ``import a.b`` binds ``a``; ``from a.b import c`` wants ``a.b``.
        return module if fromlist else sys.modules[f"{home.__name__}.{top}"]

    return import_
