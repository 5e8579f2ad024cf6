"""What one repetition of a fault showed, and whether that is what must be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from faults.fault import PROMPT, Fault

IN_TRANSIT = (
    r"^CommClosedError: (in <TLS .*(ConnectionPool\.(gather|scatter) |Stream is closed$)|ConnectionPool closing)"
    r"|^FatalCommClosedError: $"
)
"""What a call gets from Dask whose bytes, or TLS greeting, were on their way when its connection ended."""


@dataclass(frozen=True)
class Observation:
    """One repetition.

    Args:
        cancelled: Futures and calls that were cancelled.
        wrong: Bytes that were wrong, of all directions.
        again: Tasks that were started a second time; None: the host could not be asked.
        first_byte: Seconds from when the way was possible again until a byte of the host arrived here; None: the way
            was never broken, or none arrived.
        errors: What was raised where somebody waited, in words, and how often.
        told_after: Seconds until the last of them; None: there was none.
        recovery: Seconds of the next ``connect``; None: none was needed.
        violations: What should not have been, in words.
    """

    cancelled: int
    wrong: int
    again: int | None
    first_byte: float | None
    errors: dict[str, int]
    told_after: float | None
    recovery: float | None = None
    violations: list[str] = field(default_factory=list)


def failed(error: RuntimeError) -> Observation:
    """Note that the round could not even be observed."""
    return Observation(0, 0, None, None, {}, None, violations=[str(error)])


def judge_unharmed(outcome: dict[str, Any], *, broken: bool) -> Observation:
    """Judge a round in which nothing may be lost.

    Args:
        outcome: What the user's process says of it.
        broken: Whether the way was broken for a while.
    """
    violations = [f"raised {count} times: {words}" for words, count in outcome["errors"].items()]
    if outcome["pending"]:
        violations.append(f"{outcome['pending']} calls never ended")
    if outcome["wrong"]:
        violations.append(f"{outcome['wrong']} bytes wrong")
    if outcome["again"] != 0:
        violations.append(f"{outcome['again']} tasks started twice")
    if outcome["status"] != "running":
        violations.append(f"the client is {outcome['status']}")
    if outcome["dashboard"] is not None:
        violations.append(f"the dashboard: {outcome['dashboard']}")
    if outcome["echo"] is not None:
        violations.append(f"the reverse echo: {outcome['echo']}")
    if outcome["events_missing"]:
        violations.append(f"{outcome['events_missing']} tasks were not told to the dashboard")
    if broken and outcome["first_byte"] is None:
        violations.append("no byte of the host arrived any more")
    return Observation(
        cancelled=outcome["cancelled"],
        wrong=outcome["wrong"],
        again=outcome["again"],
        first_byte=outcome["first_byte"] if broken else None,
        errors=outcome["errors"],
        told_after=None,
        violations=violations,
    )


def judge_told(
    fault: Fault, outcome: dict[str, Any], broken: float, left: list[str], recovery: float | None
) -> Observation:
    """Judge a round that nothing could save: everybody must hear so soon, and nothing may stay.

    Args:
        fault: What happened meanwhile.
        outcome: What the user's process says of it.
        broken: Monotonic time at which it happened.
        left: Processes there that should have ended.
        recovery: Seconds of the next ``connect``; None: it failed.
    """
    assert fault.told is not None
    errors: dict[str, int] = outcome["errors"]
    exact = re.compile(f"{fault.told}|{IN_TRANSIT}")
    violations = [f"not exact, {count} times: {words}" for words, count in errors.items() if not exact.search(words)]
    if outcome["wrong"] and fault.again:
        violations.append(f"{outcome['wrong']} bytes wrong")
    if not errors and not fault.again:
        violations.append("nobody was told")
    if outcome["pending"]:
        violations.append(f"{outcome['pending']} calls never ended")
    told_after = max(outcome["error_times"]) - broken if outcome["error_times"] else None
    if told_after is not None and told_after > PROMPT:
        violations.append(f"told only after {told_after:.1f} s")
    violations += [f"left on the host: {line}" for line in left]
    if recovery is None:
        violations.append("the next connect failed")
    return Observation(
        cancelled=outcome["cancelled"],
        wrong=outcome["wrong"],
        again=outcome["again"],
        first_byte=None,
        errors=errors,
        told_after=told_after,
        recovery=recovery,
        violations=violations,
    )
