"""Which wheels a host can use: the tags of its machine, its C library and our minor version of Python.

Tags and their order are those of the packaging standards: PEP 425 (tags), 513, 571, 599 and 600 (manylinux), 656
(musllinux).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

from packaging.markers import default_environment
from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags

_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST_GLIBC = {"x86_64": (2, 5), "i686": (2, 5)}  # other machines came with manylinux2014


@dataclass(frozen=True)
class HostPlatform:
    """Machine and C library of a host.

    Args:
        machine: As ``uname -m`` says it.
        libc: Which C library.
        version: Its version; wheels that were built for an older one run, too.
    """

    machine: str
    libc: Literal["glibc", "musl"]
    version: tuple[int, int]

    @classmethod
    def of(cls, machine: str, libc: str, version: str) -> Self:
        """Understand what the host printed; of a version that cannot be read, the oldest is assumed."""
        kind: Literal["glibc", "musl"] = "musl" if libc == "musl" else "glibc"
        found = re.match(r"(\d+)\.(\d+)", version)
        oldest = (1, 0) if kind == "musl" else (2, 17)
        machine = {"arm64": "aarch64", "amd64": "x86_64", "i386": "i686", "i586": "i686"}.get(machine, machine)
        return cls(machine, kind, (int(found[1]), int(found[2])) if found else oldest)

    def __str__(self) -> str:
        return f"{self.machine}, {self.libc} {self.version[0]}.{self.version[1]}"

    def platforms(self) -> list[str]:
        """List the names of platforms whose wheels run there, the most particular first."""
        return [*self._libc_platforms(), f"linux_{self.machine}"]

    def tags(self) -> list[Tag]:
        """List the tags of wheels that run there under our minor version of Python, the most particular first."""
        version = sys.version_info[:2]
        platforms = self.platforms()
        own = f"cp{version[0]}{version[1]}"
        return [*cpython_tags(version, [own], platforms), *compatible_tags(version, own, platforms)]

    def marker_environment(self) -> dict[str, str]:
        """Give what requirements' markers are evaluated with: the host's platform, our Python."""
        own = {name: str(value) for name, value in default_environment().items()}
        return own | {
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "platform_release": "",
            "platform_version": "",
        }

    def runs_builds_of(self, other: HostPlatform | None) -> bool:
        """Say whether what was compiled on another machine, against its own C library, runs there.

        Args:
            other: The machine; None: no Linux.
        """
        return (
            other is not None
            and (other.machine, other.libc) == (self.machine, self.libc)
            and other.version <= self.version
        )

    def _libc_platforms(self) -> Iterator[str]:
        major, minor = self.version
        if self.libc == "musl":
            for each in range(minor, -1, -1):
                yield f"musllinux_{major}_{each}_{self.machine}"
            return
        oldest = _OLDEST_GLIBC.get(self.machine, (2, 17))
        for each in range(minor, oldest[1] - 1, -1):
            yield f"manylinux_{major}_{each}_{self.machine}"
            if (major, each) in _LEGACY:
                yield f"{_LEGACY[major, each]}_{self.machine}"


def local_platform() -> HostPlatform | None:
    """Give this machine's platform; None where it is no Linux."""
    for name in platform_tags():  # the newest first
        if found := re.fullmatch(r"(many|musl)linux_(\d+)_(\d+)_(.+)", name):
            libc: Literal["glibc", "musl"] = "musl" if found[1] == "musl" else "glibc"
            return HostPlatform(found[4], libc, (int(found[2]), int(found[3])))
    return None
