"""What a check found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from simmate_remote.errors import Remedy, SimmateRemoteError

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        status: ``ok``; ``warning``, where things work and may not always; ``failed``; or ``skipped``.
        reason: What it is, in one line without a full stop.
        remedies: The commands that mend it.
        why: Why it matters, in one line; empty: what the check says of itself.
        data: The same for programs, as JSON can express it.
        check: The check's name.
        title: What it looks at.
        stage: Where on the way that is.
        seconds: How long it took.
        fixed: What ``--fix`` did, if it did something.
    """

    status: Status
    reason: str
    remedies: tuple[Remedy, ...] = ()
    why: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    check: str = ""
    title: str = ""
    stage: str = ""
    seconds: float = 0.0
    fixed: str | None = None

    @classmethod
    def ok(cls, reason: str, **data: Any) -> Self:
        """Find nothing wrong."""
        return cls("ok", reason, data=data)

    @classmethod
    def warning(cls, reason: str, *remedies: Remedy, why: str = "", **data: Any) -> Self:
        """Find what works, and may not always, or not well."""
        return cls("warning", reason, _each_once(remedies), why, data)

    @classmethod
    def failed(cls, reason: str, *remedies: Remedy, why: str = "", **data: Any) -> Self:
        """Find what keeps things from working."""
        return cls("failed", reason, _each_once(remedies), why, data)

    @classmethod
    def skipped(cls, reason: str, **data: Any) -> Self:
        """Say why this was not looked at."""
        return cls("skipped", reason, data=data)

    @classmethod
    def of(cls, error: SimmateRemoteError) -> Self:
        """Take over what an error says."""
        remedies = tuple(each for each in error.remedies if not each.command.startswith("simmate-remote doctor"))
        return cls("failed", error.what, remedies, data={"error": type(error).__name__, "detail": error.detail})

    @property
    def wrong(self) -> bool:
        """Whether there is something to mend."""
        return self.status in ("warning", "failed")

    def signed(self, check: str, title: str, stage: str, why: str, seconds: float) -> Self:
        """Give the same, with what is the same for each finding of a check."""
        return dataclasses.replace(
            self, check=check, title=title, stage=stage, why=self.why or (why if self.wrong else ""), seconds=seconds
        )

    def document(self) -> dict[str, Any]:
        """Describe it for ``--json``; the shape is a promise."""
        return {
            "check": self.check,
            "title": self.title,
            "stage": self.stage,
            "status": self.status,
            "reason": self.reason,
            "why": self.why,
            "remedies": [remedy._asdict() for remedy in self.remedies],
            "data": self.data,
            "seconds": round(self.seconds, 3),
            "fixed": self.fixed,
        }


def worst(findings: list[Finding]) -> Finding:
    """Give the most serious of several findings of one check; its reason names what is wrong with each."""
    order: tuple[Status, ...] = ("failed", "warning", "ok", "skipped")
    first = min(findings, key=lambda each: order.index(each.status))
    wrong = [each for each in findings if each.wrong] or [first]
    return dataclasses.replace(
        first,
        reason="; ".join(each.reason for each in wrong),
        remedies=_each_once(remedy for each in wrong for remedy in each.remedies),
        data={name: value for each in findings for name, value in each.data.items()},
    )


def _each_once(remedies: Iterable[Remedy]) -> tuple[Remedy, ...]:
    """Leave out a command that was there before, for whatever reason: what is typed once mends both."""
    first: dict[str, Remedy] = {}
    for remedy in remedies:
        first.setdefault(remedy.command, remedy)
    return tuple(first.values())
