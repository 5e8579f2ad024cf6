"""What came of a run, as it stands in the run's folder."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from simmate_remote.errors import RunDamagedError

VERSION = 1

TEXT = 64 * 1024
"""Characters of an error's text, and of its traceback, that are kept: these are told with the news."""

PICKLED_ERROR = 1024 * 1024
"""Characters of a pickled exception up to which it is kept, too."""

State = Literal["finished", "failed", "cancelled"]
"""How a run can end."""

INLINE = 256 * 1024
"""Bytes of a pickled result up to which it travels with the news; what is larger is fetched by who wants it."""


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended, and with what.

    Args:
        run: The run's id.
        state: How it ended.
        attempt: The attempt that ended it; 0: none had begun.
        ended: When, by the host's clock.
        seconds: How long that attempt took.
        cpu_seconds: How much the process computed meanwhile.
        worker: The name of the worker.
        node: The name of its machine.
        result: The result, pickled and in base64, if it is small; None: see ``size``.
        size: Bytes of the pickled result; 0: there is none.
        file: The file in the run's folder that has a large result; empty: it is in ``result``.
        sha256: Of the pickled result.
        plain: The result as plain data, where it is that, and small.
        error: What went wrong: ``type``, ``text``, ``traceback``, and ``pickled`` (base64; empty if it cannot be).
        place: Where the own code lay; empty if all was installed.
        printed: The end of what it printed.
    """

    run: str
    state: State
    attempt: int = 0
    ended: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    worker: str = ""
    node: str = ""
    result: str | None = field(default=None, repr=False)
    size: int = 0
    file: str = ""
    sha256: str = ""
    plain: Any = field(default=None, repr=False)
    error: dict[str, str] | None = None
    place: str = ""
    printed: str = field(default="", repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Give it in the form in which it travels."""
        return {"version": VERSION, **asdict(self)}

    def as_bytes(self) -> bytes:
        """Give the content of its file: a line with it, and one with its checksum, so that a part is known as such."""
        line = json.dumps(self.as_dict()).encode()
        return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Take it over from its form in plain data."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read it from the content of its file.

        Raises:
            RunDamagedError: It is not whole.
        """
        line, _, checksum = content.partition(b"\n")
        if hashlib.sha256(line).hexdigest().encode() + b"\n" != checksum:
            raise RunDamagedError("the outcome's file is cut short, or was changed")
        return cls.from_dict(json.loads(line))


def packed(result: bytes, file: str) -> dict[str, Any]:
    """Give an outcome's arguments for a pickled result.

    Args:
        result: It.
        file: The file that has it if it is large.
    """
    small = len(result) <= INLINE
    return {
        "result": base64.b64encode(result).decode() if small else None,
        "size": len(result),
        "file": "" if small else file,
        "sha256": hashlib.sha256(result).hexdigest(),
    }


def bounded(error: dict[str, str]) -> dict[str, str]:
    """Give an error as far as it can travel with the news: of a very long text its begin, of a traceback its end."""
    text, traceback, pickled = (error.get(name, "") for name in ("text", "traceback", "pickled"))
    return {
        **error,
        "text": text if len(text) <= TEXT else f"{text[:TEXT]}…",
        "traceback": traceback if len(traceback) <= TEXT else f"…{traceback[-TEXT:]}",
        "pickled": pickled if len(pickled) <= PICKLED_ERROR else "",
    }
