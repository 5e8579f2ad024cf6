"""Add and remove hosts of one's own; trust those of a checkout."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simmate_remote.errors import HostNotFoundError, InventoryError, Remedy
from simmate_remote.inventory.folders import own_folder
from simmate_remote.inventory.host_file import shown, write_host
from simmate_remote.inventory.models import Host, HostDescription
from simmate_remote.inventory.problems import describe_problems
from simmate_remote.inventory.trust import forget_trust, read_folder, record_trust
from simmate_remote.inventory.words import check_host_name


def add_host(name: str, *, force: bool = False, **fields: Any) -> Host:
    """Write a host into the user's inventory, or into the folder that SIMMATE_REMOTE_HOSTS names.

    Args:
        name: What to call it.
        force: Overwrite a description that is there.
        fields: The fields of its file, as YAML would give them: ``ssh="me@lab"``, ``workers={"count": 4}``.

    Returns:
        The host, with the file that it was written to as ``source``.

    Raises:
        InventoryError: A field is wrong, or the host exists and ``force`` is false.
    """
    try:
        description = HostDescription.model_validate(fields)
        name = check_host_name(name)
    except ValidationError as error:
        raise InventoryError(
            "; ".join(describe_problems(error, fields)),
            host=name,
            meanwhile="nothing was written",
            remedies=(Remedy("simmate-remote hosts add --help"),),
        ) from error
    except ValueError as error:
        raise InventoryError(
            f"{name!r} cannot be the name of a host: {error}",
            meanwhile="nothing was written",
            remedies=(Remedy("simmate-remote hosts add --help"),),
        ) from error
    folder = own_folder()
    path = folder.find(name) or folder.path / f"{name}.yaml"
    host = Host(name=name, source=path, **dict(description))
    try:
        write_host(host, path, overwrite=force)
    except FileExistsError as error:
        raise InventoryError(
            f"{shown(path)} describes it already",
            host=name,
            meanwhile="it is left as it was",
            remedies=(
                Remedy(f"simmate-remote hosts show {shlex.quote(name)}"),
                Remedy(f"simmate-remote hosts add {shlex.quote(name)} --ssh ADDRESS --force", "overwrites it"),
            ),
        ) from error
    return host


def remove_host(name: str) -> Path:
    """Delete a host's file from the folder that :func:`add_host` writes to.

    Returns:
        The file that was deleted.

    Raises:
        HostNotFoundError: That folder does not describe it.
    """
    folder = own_folder()
    path = folder.find(name)
    if path is None:
        raise HostNotFoundError(
            f"no file in {shown(folder.path)} describes it",
            host=name,
            meanwhile="nothing was removed; hosts of ~/.ssh/config and of a checkout are not ours to remove",
            remedies=(Remedy("simmate-remote hosts list", "shows where each host comes from"),),
        )
    try:
        path.unlink()
    except OSError as error:
        raise InventoryError(
            f"{shown(path)} cannot be removed: {error.strerror}",
            host=name,
            remedies=(Remedy(f"ls -ld {shlex.quote(str(path.parent))}", "shows whose folder it is"),),
        ) from error
    return path


def find_checkout_folder(path: Path) -> Path:
    """Find the ``hosts`` folder of a checkout.

    Args:
        path: The checkout, or its ``hosts`` folder.

    Raises:
        InventoryError: There is none.
    """
    for folder in (path / "hosts", path):
        if folder.is_dir() and folder.name == "hosts":
            return folder.resolve()
    raise InventoryError(
        f"there is no folder {shown(path / 'hosts')}",
        meanwhile="nothing was trusted",
        remedies=(Remedy("simmate-remote hosts list", "shows where each host comes from"),),
    )


def trust_folder(path: Path) -> Path:
    """Trust the ``hosts`` folder of a checkout, with the content that it has now.

    Args:
        path: The checkout, or its ``hosts`` folder.

    Returns:
        The folder that is trusted.

    Raises:
        InventoryError: There is none, or it cannot be read.
    """
    content = read_folder(find_checkout_folder(path))
    record_trust(content)
    return content.folder


def distrust_folder(path: Path) -> bool:
    """Trust a checkout's ``hosts`` folder no longer; says whether it was trusted."""
    return forget_trust(find_checkout_folder(path))
