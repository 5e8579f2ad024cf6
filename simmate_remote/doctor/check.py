"""What a check is. Others can add theirs: a class named in the entry points ``simmate_remote.checks``."""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from simmate_remote.doctor.examination import Examination
    from simmate_remote.doctor.finding import Finding


class Stage(enum.StrEnum):
    """Where on the way from here to there a check looks, and so what it can use."""

    HERE = "here"
    """This machine; ``doctor`` without a host."""
    WAY = "way"
    """What can be known before a host is contacted."""
    LOGIN = "login"
    """The one login, whatever became of it."""
    LINK = "link"
    """What the login allows: commands of the login shell, channels."""
    HOST = "host"
    """The machine, through a program of ours that runs there meanwhile."""
    TUNNEL = "tunnel"
    """A keeper that is started for this, and a stream through it."""


class Check(abc.ABC):
    """One thing that is looked at; the first line of its docstring says what, for the list in the documentation.

    A check must not block the event loop, and must leave nothing behind, also when it is cancelled.

    Attributes:
        name: What ``--only`` takes; small letters, digits and hyphens.
        title: What is looked at, in a few words.
        why: Why it matters, in one line without a full stop.
        stage: Where it looks.
        requires: Names of checks that must not have failed, or been skipped, besides what the stage needs.
        limit: Seconds after which it is cut off.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    why: ClassVar[str]
    stage: ClassVar[Stage] = Stage.HOST
    requires: ClassVar[tuple[str, ...]] = ()
    limit: ClassVar[float] = 10.0

    @abc.abstractmethod
    async def run(self, about: Examination) -> Finding:
        """Look at it.

        Args:
            about: The host, the login, and what runs there.

        Raises:
            SimmateRemoteError: It is told as a failure, with its remedies.
        """

    async def fix(self, about: Examination, finding: Finding) -> str | None:
        """Mend what was found, where that is safe, and say what was done; None: there is nothing safe to do."""
        return None
