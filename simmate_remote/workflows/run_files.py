"""The files that a run has made on its host: which there are, and copies of them here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from simmate_remote.files.host.order import Order, Tally
from simmate_remote.files.transfer import Outcome, transfer
from simmate_remote.inventory.models import Host
from simmate_remote.session.background import background

NOWHERE = "/nowhere"
"""A folder that is not here, so that all would be copied into it."""


def order_of_list(folder: str) -> Order:
    """Give the order that copies nothing, and tells what a run has made.

    Args:
        folder: The run's, on its host.
    """
    # All of the folder: that of the files is made when the first of them is.
    return Order("pull", (f"{folder}/.",), NOWHERE, dry_run=True)


def order_of_fetch(folder: str, pattern: str, to: Path) -> Order:
    """Give the order that copies what a run has made.

    Args:
        folder: The run's, on its host.
        pattern: Names, from the folder of its files on.
        to: The folder here that they go into.
    """
    return Order("pull", (f"{folder}/files/{pattern}",), str(to))


def sizes_in(outcome: Outcome) -> dict[str, int]:
    """Give what a run has made, in bytes by name, from what came of :func:`order_of_list`."""
    files = f"{NOWHERE}/files/"
    return {path.removeprefix(files): size for path, size in outcome.tally.would if path.startswith(files)}


class RunFiles:
    """The files of one run, through the session of its host or by a login of its own.

    Args:
        host: The host.
        folder: The run's folder there.
    """

    def __init__(self, host: Host, folder: str) -> None:
        self._host = host
        self._folder = folder

    def sizes(self) -> dict[str, int]:
        """Ask which files there are, in bytes by name.

        Raises:
            SimmateRemoteError: The host could not be reached, or the folder is gone.
        """
        return sizes_in(background.do(transfer(self._host, order_of_list(self._folder))))

    def fetch(self, to: Path | str, pattern: str = "*", *, watch: Callable[[Tally], None] = lambda _: None) -> Outcome:
        """Copy files to a folder here: checked, not again what is here already, and gone on with after a break.

        Args:
            to: The folder; made if need be.
            pattern: Their names, such as ``*.out``.
            watch: Shown every 0.1 s what was done so far.

        Returns:
            What was copied, and what could not be.

        Raises:
            SimmateRemoteError: The host could not be reached, or nothing there is called so.
        """
        target = Path(to).absolute()
        target.mkdir(parents=True, exist_ok=True)
        return background.do(transfer(self._host, order_of_fetch(self._folder, pattern, target), watch=watch))
