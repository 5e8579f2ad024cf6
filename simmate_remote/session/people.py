"""The people behind a session's clients, as the session knows them."""

from __future__ import annotations

from typing import Protocol

from simmate_remote.link import Prompt


class People(Protocol):
    """Whom a session asks, and tells."""

    async def ask(self, prompt: Prompt) -> str | None:
        """Ask whoever can answer now; None: nobody can, or wants to."""

    def somebody_answers(self) -> bool:
        """Say whether somebody can be asked now."""

    async def somebody_came(self) -> None:
        """Wait for the next client whose person can be asked."""

    async def somebody_follows(self) -> None:
        """Wait until somebody hears how the session connects, but not for long."""

    async def tell_end(self) -> None:
        """Wait until the clients have heard that the session has stopped, but not for long."""
