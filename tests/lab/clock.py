"""The wall clock of the box, ahead or behind, by libfaketime in every process that starts there."""

from __future__ import annotations

from pathlib import Path


def find_libfaketime() -> Path | None:
    """Return the library, if it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def set_clock(folder: Path, offset: float) -> None:
    """Set the clock for processes that start from now on.

    The library is preloaded by the dynamic linker's own file, so that an emptied environment does not escape it.
    Monotonic time stays true: only what a person would call the date is wrong, as on a real machine.

    Args:
        folder: The lab's folder, with ``etc``.
        offset: Seconds ahead; negative: behind; 0: the true time.
    """
    preload = folder / "etc/ld.so.preload"
    if not offset:
        preload.unlink(missing_ok=True)
        return
    library = find_libfaketime()
    if library is None:
        raise RuntimeError("libfaketime is missing; `python -m tests.lab install` installs it")
    (folder / "etc/faketimerc").write_text(f"{offset:+f}\n")
    preload.write_text(f"{library}\n")
