"""How often a lost host is tried again: soon as long as nothing answers, seldom once a server has turned us away."""

from __future__ import annotations

import random

from simmate_remote.errors import (
    AuthenticationError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    SSHConfigError,
)

UNANSWERED = 1.0
"""Seconds between attempts that reach nobody; they trouble nobody either."""

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
FIRST_REFUSED_PAUSE = 60.0
LONGEST_REFUSED_PAUSE = 600.0
"""Sites ban addresses that fail to log in a handful of times within some minutes (fail2ban's default: 5 in 10 min)."""


class Pace:
    """The pauses between attempts to reach one host.

    Attempts that a server answered are at most 4 in the first quarter of a minute, and later one in half a minute; of
    those that it refused to log in, one in half a minute at first, and one in five minutes later. Pauses vary by half,
    so that a hundred laptops that lost one host do not come back as one.
    """

    def __init__(self) -> None:
        self._after_answer = FIRST_PAUSE
        self._after_refusal = FIRST_REFUSED_PAUSE

    def pause(self, error: Exception) -> float:
        """Give the seconds to wait after an attempt that ended with this error."""
        if isinstance(error, LinkError) and not error.reached_server and not isinstance(error, SSHConfigError):
            return UNANSWERED
        if needs_a_person(error):
            longest, self._after_refusal = self._after_refusal, min(LONGEST_REFUSED_PAUSE, 2 * self._after_refusal)
        else:
            longest, self._after_answer = self._after_answer, min(LONGEST_PAUSE, 2 * self._after_answer)
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def needs_a_person(error: Exception) -> bool:
    """Say whether only a person can change what made an attempt fail: a code, an agent, a host key."""
    return isinstance(error, AuthenticationError | HostKeyChangedError | HostKeyUnknownError)
