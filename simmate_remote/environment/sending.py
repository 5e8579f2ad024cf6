"""Bring files to the host over the login: only what is missing there, checked there, continued where it was cut off.

All files go one after another through one channel: a login shell may take seconds to start.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simmate_remote.environment.shell import Shell
from simmate_remote.environment.store import file_sha256
from simmate_remote.errors import HostDiskFullError, Remedy, SetupError

SILENCE = 120.0
"""Seconds without a byte taken, or without an answer while a file there is checked."""

_BLOCK = 256 * 1024

Progress = Callable[[int, int], object]
"""Told how many bytes of how many have been sent."""


@dataclass(frozen=True)
class Parcel:
    """A file that shall be on the host.

    Args:
        path: The file here.
        place: Where it goes, below our folder there.
        sha256: Of its content, in hexadecimal.
        size: Bytes.
    """

    path: Path
    place: str
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path, place: str) -> Parcel:
        """Describe a file."""
        return cls(path, place, file_sha256(path), path.stat().st_size)


def send(shell: Shell, parcels: Sequence[Parcel], progress: Progress) -> int:
    """Send what is missing.

    Args:
        shell: Runs scripts there.
        parcels: What shall be there.
        progress: Told how far it is.

    Returns:
        How many bytes were sent.

    Raises:
        HostDiskFullError: It could not be written there.
        SetupError: It did not arrive as it is here.
        LinkLostError: The link was lost; what has arrived is kept.
    """
    offsets = _offsets(shell, parcels)
    missing = [each for each in parcels if offsets[each.place] < each.size]
    total = sum(each.size - offsets[each.place] for each in missing)
    if not missing:
        return 0

    def pieces() -> Iterator[bytes]:
        sent = 0
        progress(sent, total)
        for each in missing:
            offset = offsets[each.place]
            yield f"{offset} {each.size - offset} {each.sha256} {each.place}\n".encode()
            with each.path.open("rb") as file:
                file.seek(offset)
                while block := file.read(_BLOCK):
                    yield block
                    sent += len(block)
                    progress(sent, total)

    answer = shell.run("receive", seconds=SILENCE, feed=pieces())
    if answer.value("full"):
        raise disk_full(shell, answer.errors)
    if len(answer.values("got")) < len(missing):
        wrong = answer.value("wrong")
        raise shell.failed(f"{wrong} arrived damaged" if wrong else "not all files could be written there", answer)
    return total


def _offsets(shell: Shell, parcels: Sequence[Parcel]) -> dict[str, int]:
    """Ask how much of each file is there already."""
    lines = "".join(f"{each.sha256} {each.size} {each.place}\n" for each in parcels)
    answer = shell.run("missing", seconds=SILENCE, feed=[lines.encode()])
    whole = set(answer.values("have"))
    offsets = {each.place: each.size if each.place in whole else 0 for each in parcels}
    sizes = {each.place: each for each in parcels}
    for text in answer.values("part"):
        length, digest, place = text.split(" ", 2)
        parcel = sizes.get(place)
        if parcel is not None and int(length) < parcel.size and file_sha256(parcel.path, int(length)) == digest:
            offsets[place] = int(length)
    return offsets


def clear(shell: Shell, *, full: bool = False) -> None:
    """Take away what was sent and is no part of the environment in place.

    Args:
        shell: Runs the script there.
        full: Whether there is no room for what another setup may be sending, either.
    """
    shell.run("clear", seconds=SILENCE, all="yes" if full else "")


def disk_full(shell: Shell, said: str) -> SetupError:
    """Say that there is no space, or no quota, once what was sent in vain no longer takes any."""
    clear(shell, full=True)
    host = shlex.quote(shell.host)
    return HostDiskFullError(
        "the disk there is full, or your quota is used up",
        host=shell.host,
        meanwhile="what was sent is taken away again, and the environment that was there before, if any, is as it was",
        remedies=(
            Remedy(f"{shell.hop.ssh()} 'df -h ~; quota; du -sh ~/* | sort -h | tail'", "shows what takes the space"),
            Remedy(f"simmate-remote hosts show {host}", "`folder:` names another place for our files"),
            Remedy(f"simmate-remote setup {host} --only simmate-remote", "needs less"),
        ),
        detail=said[-2000:] or None,
    )
