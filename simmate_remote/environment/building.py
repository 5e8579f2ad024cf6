"""Make the environment on the host: beside the old one, tried, and switched to at once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from simmate_remote.environment.sending import Parcel, clear, disk_full
from simmate_remote.environment.shell import Shell
from simmate_remote.environment.store import Wheel
from simmate_remote.environment.survey import MINOR, Survey

BUILD_TIMEOUT = 1200.0
"""Seconds; some network file systems take minutes for ten thousand small files."""


@dataclass(frozen=True)
class Plan:
    """What the environment is made of.

    Args:
        wheels: One of each distribution, in the order of their names.
        made_for: The `python:` that the inventory names; None: none. An environment stands in for this one alone.
    """

    wheels: tuple[Wheel, ...]
    made_for: str | None

    @property
    def digest(self) -> str:
        """The beginning of the name of an environment that was made from this, and of no other."""
        text = "\n".join([MINOR, self.made_for or "", *(f"{each.path.name} {each.sha256}" for each in self.wheels)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def unpacked(self) -> int:
        """Bytes that it takes on a disk, without its wheels."""
        return sum(each.unpacked for each in self.wheels)

    def parcels(self) -> list[Parcel]:
        """Give the wheels as what is to be sent."""
        return [Parcel(each.path, _place(each), each.sha256, each.size) for each in self.wheels]

    def is_there(self, survey: Survey) -> bool:
        """Say whether the host has just this, and nobody has changed it since."""
        standing = survey.standing
        return (
            standing is not None
            and standing.works
            and standing.name.startswith(f"{self.digest}-")
            and not self.difference(survey)
        )

    def difference(self, survey: Survey) -> list[str]:
        """Name what differs in what is installed, a line each."""
        found = survey.standing.found if survey.standing is not None else {}
        wanted = {each.name: each.version for each in self.wheels}
        lines = []
        for name in sorted({*found, *wanted}):
            there, here = found.get(name), wanted.get(name)
            if there != here:
                lines.append(f"{name} is {there or 'missing'} there and {f'{here} here' if here else 'not wanted'}")
            elif survey.standing is not None and (gone := survey.standing.gone.get(name)):
                lines.append(f"{name} {there} lacks {gone} of its files there")
        made = dict(line.split(" ", 1)[::-1] for line in survey.standing.made) if survey.standing is not None else {}
        lines += [
            f"{each.name} {each.version} is another build there"
            for each in self.wheels
            if found.get(each.name) == each.version and made.get(f"{each.name}=={each.version}") != each.sha256
        ]
        return lines


def build(shell: Shell, plan: Plan, python: str, uv: str) -> str:
    """Make the environment, and switch to it.

    Args:
        shell: Runs the script there.
        plan: What it is made of; all of it has been sent.
        python: Path of the interpreter there.
        uv: Version of the uv that was sent.

    Returns:
        The environment's folder, below ours.

    Raises:
        SetupError: It failed; the old environment is as it was.
        LinkError: The link was lost.
    """
    lines = "".join(f"{each.sha256} {_place(each)} {each.name}=={each.version}\n" for each in plan.wheels)
    answer = shell.run(
        "build",
        seconds=BUILD_TIMEOUT,
        feed=[lines.encode()],
        name=f"{plan.digest}-{secrets.token_hex(4)}",
        python=python,
        made_for=plan.made_for or "",
        uv=uv,
        smoke="import distributed" if any(each.name == "distributed" for each in plan.wheels) else "pass",
    )
    if built := answer.value("built"):
        clear(shell)
        return built
    if answer.value("full"):
        raise disk_full(shell, "\n".join(answer.values("said")))
    raise shell.failed(f"the environment could not be made: {answer.value('failed') or 'the script ended'}", answer)


def _place(wheel: Wheel) -> str:
    return f"wheels/{wheel.sha256[:16]}/{wheel.path.name}"
