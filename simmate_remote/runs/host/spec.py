"""What a run is: written into its folder before anything of it begins, and never changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from simmate_remote.errors import RunDamagedError
from simmate_remote.runs.identity import is_id

VERSION = 1
"""Of the form of a run's folder; a later one is refused, and left as it is."""

ATTEMPTS = 5
"""How often a run is begun at the most, unless it says otherwise."""


@dataclass(frozen=True)
class Spec:
    """One run, in plain data.

    Args:
        id: The run's.
        workflow: What runs, as people call it.
        workflow_version: Of its results.
        program: ``module:function`` that executes it, given the run's :class:`.folder.RunFolder` and its attempt.
        parameters: By name, as people read them: plain data; what is none stands there as its text.
        payload: What the program needs besides; nobody else understands it.
        code: The digest of the own code that it runs with, among the blobs; None: all of it is installed.
        started_by: ``user@machine``.
        created: When, by the clock of the machine that made it.
        attempts: How often it is begun at the most.
        versions: Of Python and of what matters to it, by name, where it was made.
        restarted_from: The run whose parameters it has taken over.
    """

    id: str
    workflow: str
    workflow_version: str = ""
    program: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    code: str | None = None
    started_by: str = ""
    created: float = 0.0
    attempts: int = ATTEMPTS
    versions: dict[str, str] = field(default_factory=dict)
    restarted_from: str | None = None

    def blobs(self) -> set[str]:
        """Give the digests of what it needs besides: its own code, and large parameters."""
        return {digest for digest in (self.code, self.payload.get("parameters_blob")) if digest}

    def as_dict(self) -> dict[str, Any]:
        """Give it in the form in which it travels, and is written."""
        return {"version": VERSION, **asdict(self)}

    def as_bytes(self) -> bytes:
        """Give the content of its file."""
        return json.dumps(self.as_dict()).encode() + b"\n"

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Take it over from its form in plain data.

        Raises:
            RunDamagedError: It is none, or of a later version of this program.
        """
        if not isinstance(data, dict) or not is_id(str(data.get("id"))):
            raise RunDamagedError("this is no run's specification")
        if data.get("version") != VERSION:
            raise RunDamagedError(
                f"the run {data['id']} was written by another version of simmate-remote (form {data.get('version')!r}, "
                f"and this one knows {VERSION})",
                meanwhile="it was left as it is",
            )
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read it from the content of its file.

        Raises:
            RunDamagedError: It is none.
        """
        try:
            data = json.loads(content)
        except ValueError as error:
            raise RunDamagedError("a run's specification is cut short, or no JSON") from error
        return cls.from_dict(data)
