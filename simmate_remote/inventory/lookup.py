"""Find one host, or list them all."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simmate_remote.errors import HostFileError, HostNotFoundError, InventoryError, Remedy
from simmate_remote.inventory.folders import HostFolder, search_folders
from simmate_remote.inventory.host_file import read_host
from simmate_remote.inventory.models import Host
from simmate_remote.inventory.ssh_config import find_ssh_hosts
from simmate_remote.inventory.trust import (
    FolderContent,
    Standing,
    examine_folder,
    require_trust,
)
from simmate_remote.inventory.words import check_host_name

State = Literal["ready", "shadowed", "untrusted", "changed", "wrong"]


@dataclass(frozen=True)
class HostEntry:
    """One line of ``hosts list``.

    Args:
        name: The host's name.
        source: The file that describes it; ``None`` where ~/.ssh/config alone names it.
        state: ``ready``; ``shadowed`` by an earlier one of the same name; ``untrusted``, or ``changed`` since it was
            trusted; or ``wrong``.
        host: The host, where its file could be read.
        problem: What is wrong with it.
    """

    name: str
    source: Path | None
    state: State
    host: Host | None = None
    problem: str | None = None


def load_host(name: str) -> Host:
    """Find a host by its name.

    Args:
        name: A host of the inventory, an alias of ~/.ssh/config, ``user@name``, or a name with a dot.

    Raises:
        HostNotFoundError: Nothing knows it.
        HostFileError: Its file is wrong.
        UntrustedFolderError: Its file came with the current folder, which the user has not trusted as it is.
    """
    try:
        name = check_host_name(name)
    except ValueError as error:
        raise HostNotFoundError(
            f"{name!r} cannot be the name of a host: {error}",
            remedies=(
                Remedy("simmate-remote hosts list", "shows the hosts that are known"),
                Remedy("simmate-remote hosts add NAME --ssh ADDRESS", "gives an address a name"),
            ),
        ) from error
    for folder in search_folders():
        path = folder.find(name)
        if path is None:
            continue
        if folder.kind == "checkout":
            return _read_trusted(require_trust(folder.path, name), path)
        return read_host(path)
    if _is_address(name) or name in find_ssh_hosts():
        return Host(name=name, ssh=name)
    raise _not_found(name)


def _is_address(name: str) -> bool:
    return "@" in name or ("." in name and not name.endswith((".yaml", ".yml")))


def _not_found(name: str) -> HostNotFoundError:
    known = list({entry.name: None for entry in list_hosts()})
    close = difflib.get_close_matches(name.removesuffix(".yaml"), known, n=3)
    instead = f"; did you mean {' or '.join(close)}?" if close else ""
    return HostNotFoundError(
        f"no host of this name is in the inventory or in ~/.ssh/config{instead}",
        host=name,
        remedies=(
            Remedy("simmate-remote hosts list", "shows the hosts that are known"),
            Remedy(f"simmate-remote hosts add {shlex.quote(name)} --ssh ADDRESS", "what you would type after ssh"),
        ),
    )


def _read_trusted(content: FolderContent, path: Path) -> Host:
    return read_host(path, content=content.files[path.name], own_files=content.files)


def list_hosts() -> list[HostEntry]:
    """List every host that is described somewhere, in the order in which they are looked for.

    Raises:
        InventoryError: A folder cannot be read.
    """
    entries: list[HostEntry] = []
    seen: set[str] = set()
    for folder in search_folders():
        for entry in _entries_of(folder):
            shadowed = entry.name in seen and entry.state == "ready"
            entries.append(HostEntry(entry.name, entry.source, "shadowed", entry.host) if shadowed else entry)
            seen.add(entry.name)
    entries.extend(
        HostEntry(name, None, "shadowed" if name in seen else "ready", Host(name=name, ssh=name))
        for name in find_ssh_hosts()
    )
    return entries


def _entries_of(folder: HostFolder) -> Iterator[HostEntry]:
    files = folder.files()
    standing: Standing = "trusted"
    content = None
    if folder.kind == "checkout" and files:
        try:
            standing, content = examine_folder(folder.path)
        except InventoryError as error:
            yield from (HostEntry(path.stem, path, "changed", problem=error.what) for path in files)
            return
    for path in files:
        if standing != "trusted":  # not even parsed
            yield HostEntry(path.stem, path, standing)
            continue
        try:
            host = _read_trusted(content, path) if content else read_host(path)
        except HostFileError as error:
            yield HostEntry(path.stem, path, "wrong", problem="\n".join(filter(None, (error.what, error.detail))))
        else:
            yield HostEntry(host.name, path, "ready", host)
