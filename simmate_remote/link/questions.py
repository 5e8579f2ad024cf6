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
        batch: Whether the configuration forbids to ask (BatchMode).

    Attributes:
        declined: Whether the person did not want to answer; then nothing more is asked.
        unanswered: Whether an answer was needed, and was not to be had from a person who might give it later.
    """

    def __init__(self, ask: Ask | None, patience: Patience, *, batch: bool) -> None:
        self._ask = None if batch else ask
        self._patience = patience
        self._batch = batch
        self.declined = False
        self.unanswered = False
        self.error: Exception | None = None  # what the callback raised; it is the caller's, and not ours to translate

    def possible(self) -> bool:
        """Say whether somebody can be asked, when an answer is needed."""
        if self._ask is None:
            self.unanswered = not self._batch
        return self._ask is not None

    async def __call__(self, prompt: Prompt) -> str | None:
        """Return the answer, or ``None`` when nobody is there, or the person declined: then it asks no more."""
        if self._ask is None or self.declined:
            return None
        with self.waiting():
            answer = await self._put(self._ask, prompt)
        if answer is None:
            self.declined = self.unanswered = True
        return answer

    async def tell(self, notice: Prompt) -> None:
        """Show something that wants no answer, if somebody is there."""
        if self._ask is not None:
            await self._put(self._ask, notice)

    async def _put(self, ask: Ask, prompt: Prompt) -> str | None:
        try:
            return await ask(
                Prompt(prompt.kind, printable(prompt.text), prompt.echo, printable(prompt.detail).strip("\n"))
            )
        except Exception as error:
            self.error = error
            raise

    def waiting(self) -> AbstractContextManager[None]:
        """Stop the time while something else waits for the person, like the touch of a hardware key."""
        return self._patience.paused()
