"""Examinations in tests: of a box, and of findings that a host is made to tell."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.examine import examine
from simmate_remote.doctor.finding import Finding
from simmate_remote.inventory import Host
from simmate_remote.link import Ask
from tests.boxes import Box
from tests.hosts import host_of


async def examine_box(
    box: Box,
    only: Collection[str] | None = None,
    ask: Ask | None = None,
    *,
    workers: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Finding]:
    """Examine a box, and give the findings by the name of the check.

    Args:
        box: The box.
        only: Names of checks; None: all.
        ask: Answers the questions of the login.
        workers: Fields of its section of that name; default: none.
        fields: Further fields of the host's file.
    """
    findings = await examine(
        host_of(box, workers={"count": None, "threads": None, **(workers or {})}, **fields), only, ask
    )
    return {finding.check: finding for finding in findings}


class Told(Examination):
    """An examination whose host says what a test wants; nothing is contacted.

    Args:
        host: The host's file.
        answers: Result by the name of the call.
        found: Findings of earlier checks, by name.
    """

    def __init__(self, host: Host, answers: dict[str, Any], **found: Finding) -> None:
        super().__init__(host, None, lambda _: None)
        self._answers = answers
        self.findings |= {name.replace("_", "-"): finding for name, finding in found.items()}

    async def call(self, name: str, **arguments: Any) -> Any:
        return self._answers[name]
