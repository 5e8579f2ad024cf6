"""How asyncssh's import looks for the optional libraries that it can use."""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import threading
from collections.abc import Iterator

_COMPILERS = ("_findLib_gcc", "_findLib_ld")
_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def only_installed_libraries() -> Iterator[None]:
    """Let ``ctypes.util.find_library`` ask what is installed, and no compiler, as long as this lasts.

    asyncssh looks for three libraries when it is imported. For each that is not installed, Python starts a compiler
    and a linker, where there are any: 25 ms, for which each login would wait. What only these find, a loader does not,
    unless ``LD_LIBRARY_PATH`` says so: then all is as usual. So it is where another Python has other names for it.
    """
    names = [name for name in _COMPILERS if hasattr(ctypes.util, name) and not os.environ.get("LD_LIBRARY_PATH")]
    with _one_at_a_time:
        usual = {name: getattr(ctypes.util, name) for name in names}
        try:
            for name in names:
                setattr(ctypes.util, name, lambda _: None)
            yield
        finally:
            for name, function in usual.items():
                setattr(ctypes.util, name, function)
