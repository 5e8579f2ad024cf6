"""Parameters, results and exceptions as bytes, with modules that are called otherwise on the other side."""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from collections.abc import Callable
from typing import Any

import cloudpickle
from distributed.protocol.pickle import dumps

_MAIN = "__main__"


def dump(value: Any, module: str) -> bytes:
    """Pickle parameters of a target.

    Args:
        value: Them.
        module: The target's. If it is the script that is running, classes and functions of the script are named as
            what they are on the other side: parts of a module of that name, and not copies.

    Raises:
        Exception: Something in it cannot be pickled.
    """
    if sys.modules.get(module) is not sys.modules[_MAIN]:
        data: bytes = dumps(value)
        return data
    buffer = io.BytesIO()
    _ScriptPickler(buffer, module).dump(value)
    return buffer.getvalue()


def load(data: bytes, rename: Callable[[str], str]) -> Any:
    """Unpickle what the other side has pickled.

    Args:
        data: It.
        rename: Gives the name that a module has on this side.
    """
    return _Unpickler(data, rename).load()


class _ScriptPickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """Pickles parts of the running script by their names."""

    def __init__(self, file: io.BytesIO, module: str) -> None:
        super().__init__(file)
        self._module = module

    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        path = getattr(value, "__qualname__", None)
        if getattr(value, "__module__", None) != _MAIN or not isinstance(path, str):
            return None
        try:
            found = _part(sys.modules[_MAIN], path)
        except AttributeError:
            return None  # defined inside a function: it travels whole
        return (self._module, path) if found is value else None


class _Unpickler(pickle.Unpickler):
    """Finds modules by the name that they have on this side."""

    def __init__(self, data: bytes, rename: Callable[[str], str]) -> None:
        super().__init__(io.BytesIO(data))
        self._rename = rename

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return super().find_class(self._rename(module_name), global_name)

    def persistent_load(self, name: Any) -> Any:
        module, path = name
        return _part(importlib.import_module(self._rename(module)), path)


def _part(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module
