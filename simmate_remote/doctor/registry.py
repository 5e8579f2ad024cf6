"""Which checks there are, and in which order: from here to there, ours before those of others."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import Remedy, SimmateRemoteError

GROUP = "simmate_remote.checks"

ORDER = (
    "here-ssh", "here-keys", "here-agent", "here-inventory", "here-python", "here-loopback", "here-runtime-folder",
    "here-disk", "here-descriptors", "here-database", "here-database-disk", "here-leftovers",
    "ssh-config", "name", "session",
    "tcp", "ssh-version", "host-key", "authentication",
    "login-shell", "max-sessions", "sftp",
    "python", "versions", "database", "forwarding", "home", "folder", "scratch", "runtime-folder", "clock", "logout",
    "limits", "cores", "memory", "load", "gpus", "users", "login-node", "workers", "programs", "leftovers",
    "keeper", "round-trip", "throughput",
)  # fmt: skip
"""The names of our own checks; they are an interface."""

STAGE_REQUIRES = {
    Stage.LINK: ("authentication",),
    Stage.HOST: ("python",),
    Stage.TUNNEL: ("keeper",),
}
"""The check that stands for what a stage needs."""


class Unusable(Check):
    """Stands for a check of somebody else's that cannot be loaded.

    Args:
        name: Its name.
        source: Where it should be.
        error: Why it cannot be used.
    """

    title = "a check of another package"
    why = "what it would look at was not looked at"

    def __init__(self, name: str, source: str, stage: Stage, error: Exception) -> None:
        self.name = name  # type: ignore[misc]  # of this one alone
        self.stage = stage  # type: ignore[misc]
        self._what = f"the check itself cannot be used ({source}): {type(error).__name__}: {error}"

    async def run(self, about: object) -> Finding:
        return Finding.failed(self._what)


def all_checks(*, with_host: bool) -> list[Check]:
    """Load the checks of a host, or those of this machine."""
    stages = list(Stage)
    found = [_load(entry, with_host=with_host) for entry in entry_points(group=GROUP)]
    fitting = [check for check in found if (check.stage is not Stage.HERE) == with_host]
    return sorted(fitting, key=lambda check: (stages.index(check.stage), _place(check.name), check.name))


def required(check: Check) -> tuple[str, ...]:
    """Give the names of the checks that must not have failed before this one is run."""
    by_stage = (name for name in STAGE_REQUIRES.get(check.stage, ()) if name != check.name)
    return tuple(dict.fromkeys((*by_stage, *check.requires)))


def choose(checks: list[Check], only: Iterable[str]) -> list[Check]:
    """Give the checks of these names, and those that they need.

    Raises:
        SimmateRemoteError: There is no check of such a name.
    """
    by_name = {check.name: check for check in checks}
    wanted = list(only)
    if unknown := [name for name in wanted if name not in by_name]:
        raise SimmateRemoteError(
            f"there is no check {unknown[0]!r} here; there are {', '.join(by_name)}",
            remedies=(Remedy("simmate-remote doctor --list", "says what each of them looks at"),),
        )
    needed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            wanted += required(by_name[name])
    return [check for check in checks if check.name in needed]


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _load(entry: EntryPoint, *, with_host: bool) -> Check:
    try:
        check = entry.load()()
        if not isinstance(check, Check) or check.name != entry.name or not isinstance(check.stage, Stage):
            raise TypeError(f"it is no Check whose name is {entry.name!r}")
    except Exception as error:  # noqa: BLE001 - another package's code: its mistakes are a finding
        return Unusable(entry.name, entry.value, Stage.WAY if with_host else Stage.HERE, error)
    return check
