"""Asking a person during a login."""

from __future__ import annotations

from contextlib import AbstractContextManager

from simmate_remote.link.base import Ask, Prompt
from simmate_remote.link.patience import Patience
from simmate_remote.link.text import printable


class Questions:
    """Ask through the callback of ``connect``, and stop the time meanwhile.

    Args:
        ask: The callback; ``None`` when nobody can be asked.
        patience: Whose time is stopped.
    """

    def __init__(self, ask: Ask | None, patience: Patience) -> None:
        self._ask = ask
        self._patience = patience
        self.possible = ask is not None
        self.declined = False
        self.error: Exception | None = None  # what the callback raised; it is the caller's, and not ours to translate

    async def __call__(self, prompt: Prompt) -> str | None:
        """Return the answer, or ``None`` when nobody is there, or the person declined: then it asks no more."""
        if self._ask is None or self.declined:
            return None
        clean = Prompt(prompt.kind, printable(prompt.text), prompt.echo, printable(prompt.detail).strip("\n"))
        try:
            with self.waiting():
                answer = await self._ask(clean)
        except Exception as error:
            self.error = error
            raise
        if answer is None:
            self.declined = True
        return answer

    def waiting(self) -> AbstractContextManager[None]:
        """Stop the time while something else waits for the person, like the touch of a hardware key."""
        return self._patience.paused()
