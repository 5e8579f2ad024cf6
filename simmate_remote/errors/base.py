"""What every exception has: words for a person, remedies, and a form in plain data for another process."""

from __future__ import annotations

import shlex
import time
from typing import Any, ClassVar, NamedTuple


class Remedy(NamedTuple):
    """What a person can do next.

    Args:
        command: A command line that exists and can be typed as it is.
        why: When, or why, this is the right command; a short phrase.
    """

    command: str
    why: str = ""


_known: dict[str, type[SimmateRemoteError]] = {}
"""The classes of this package by their names."""


class SimmateRemoteError(Exception):
    """Base of all exceptions of this package.

    Args:
        what: What happened, in one sentence without a full stop.
        host: The host that it happened to, as the user calls it.
        since: When it began, in seconds since the epoch; default: now.
        meanwhile: What goes on in spite of it, or what was left untouched.
        remedies: What to do next, the most likely one first.
        detail: Further lines as evidence: the end of a log, a server's own words.

    Attributes:
        further: Names of the arguments that a subclass has besides.
        explained_by: Names of the checks of ``doctor`` that look into what such an error complains of.
    """

    further: ClassVar[tuple[str, ...]] = ()
    explained_by: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        what: str,
        *,
        host: str | None = None,
        since: float | None = None,
        meanwhile: str | None = None,
        remedies: tuple[Remedy, ...] = (),
        detail: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.host = host
        self.since = time.time() if since is None else since
        self.meanwhile = meanwhile
        self.remedies = _with_doctor(tuple(Remedy(*remedy) for remedy in remedies), host, self.explained_by)
        self.detail = detail

    def __str__(self) -> str:
        lines = [f"{self.host}: {self.what}" if self.host else self.what]
        if time.time() - self.since > 2:
            lines.append(f"  since:     {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}")
        if self.meanwhile:
            lines.append(f"  meanwhile: {self.meanwhile}")
        lines += [f"  next:      {each.command}" + (f"    ({each.why})" if each.why else "") for each in self.remedies]
        if self.detail:
            lines += ["  " + line for line in self.detail.rstrip().splitlines()]
        return "\n".join(lines)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith(__package__):
            _known[cls.__name__] = cls

    def __reduce__(self) -> tuple[Any, ...]:
        return error_from_dict, (error_to_dict(self),)


def _with_doctor(remedies: tuple[Remedy, ...], host: str | None, checks: tuple[str, ...]) -> tuple[Remedy, ...]:
    """Add the command that looks into an error, where there is one and it is not among the remedies yet."""
    if host is None or not checks:
        return remedies
    noun = "check" if len(checks) == 1 else "checks"
    look = Remedy(f"simmate-remote doctor {shlex.quote(host)}", f"its {noun} {', '.join(checks)} may say why")
    return remedies if look in remedies else (*remedies, look)


def error_to_dict(error: SimmateRemoteError) -> dict[str, Any]:
    """Describe an exception in plain data, for another process or ``--json``."""
    return {
        "error": type(error).__name__,
        "what": error.what,
        "host": error.host,
        "since": error.since,
        "meanwhile": error.meanwhile,
        "remedies": [remedy._asdict() for remedy in error.remedies],
        "detail": error.detail,
        **{name: getattr(error, name) for name in error.further},
    }


def error_from_dict(data: dict[str, Any]) -> SimmateRemoteError:
    """Make the exception again that :func:`error_to_dict` described."""
    cls = _known.get(data["error"], SimmateRemoteError)
    return cls(
        data["what"],
        host=data["host"],
        since=data["since"],
        meanwhile=data["meanwhile"],
        remedies=tuple(Remedy(**remedy) for remedy in data["remedies"]),
        detail=data["detail"],
        **{name: data[name] for name in cls.further},
    )
