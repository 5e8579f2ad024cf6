"""What is in a task's folder at a moment: which files, and what the texts among them say."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simmate_remote.workflows.shell.own_folder import NAME

TEXT_LIMIT = 1_000_000
"""Bytes of a file up to which it is compared by what it says, and not by its size and time alone; a choice."""

_DIFF_LINES = 200


@dataclass(frozen=True)
class Content:
    """A file at a moment.

    Args:
        signature: Its inode, size and time of change: who writes a file changes one of them.
        digest: Of what it says; empty if it is too large.
        text: What it says; None if it is too large, or no text.
    """

    signature: tuple[int, int, int]
    digest: str = ""
    text: str | None = field(default=None, repr=False)


Contents = dict[str, Content]
"""The files of a folder, by their paths in it."""


def files_in(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Walk through the regular files of a task's folder, without our own; links are not followed."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                name = f"{inside}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if name != NAME:
                        waiting.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield name, entry


def read_contents(folder: Path) -> Contents:
    """Read what is in a task's folder."""
    found: Contents = {}
    for name, entry in files_in(folder):
        about = entry.stat(follow_symlinks=False)
        signature = (about.st_ino, about.st_size, about.st_mtime_ns)
        if about.st_size > TEXT_LIMIT:
            found[name] = Content(signature)
            continue
        data = Path(entry.path).read_bytes()
        try:
            text = None if b"\0" in data else data.decode()
        except UnicodeDecodeError:
            text = None
        found[name] = Content(signature, hashlib.sha256(data).hexdigest(), text)
    return found


def changed(before: Contents, after: Contents) -> set[str]:
    """Name the files that are new, gone, or not what they were."""
    names = before.keys() | after.keys()
    return {name for name in names if _differs(before.get(name), after.get(name))}


def _differs(one: Content | None, other: Content | None) -> bool:
    if one is None or other is None:
        return True
    if one.digest and other.digest:
        return one.digest != other.digest
    return one.signature != other.signature


def differences(before: Contents, after: Contents) -> str:
    """Show how texts have changed, as ``diff -u`` does; other files are only named."""
    lines: list[str] = []
    for name in sorted(changed(before, after)):
        old, new = before.get(name), after.get(name)
        if (old and old.text is None) or (new and new.text is None):
            what = "removed" if new is None else "made" if old is None else "changed"
            lines.append(f"{name}: {what}")
            continue
        shown = list(
            difflib.unified_diff(
                old.text.splitlines() if old and old.text else [],
                new.text.splitlines() if new and new.text else [],
                f"{name} before" if old else "/dev/null",
                f"{name} after" if new else "/dev/null",
                lineterm="",
            )
        )
        lines += shown[:_DIFF_LINES]
        if len(shown) > _DIFF_LINES:
            lines.append(f"… {len(shown) - _DIFF_LINES} more lines")
    return "\n".join(lines)


def state_of(contents: Contents, names: Iterable[str]) -> str:
    """Give a digest of what some texts say together."""
    digest = hashlib.sha256()
    for name in sorted(names):
        content = contents.get(name)
        if content is not None and content.text is not None:
            digest.update(f"{name}\0{content.digest}\0".encode())
    return digest.hexdigest()
