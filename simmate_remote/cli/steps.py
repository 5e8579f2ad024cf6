"""The steps of connecting, as a person sees them: a spinner in a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.status import Status

from simmate_remote.cli.output import err, note, safe
from simmate_remote.link import Ask, Prompt
from simmate_remote.session.terminal import ask_terminal, has_terminal


class Steps:
    """Shows what is being done, and makes room for questions.

    ::

        with Steps() as steps:
            await join(host, lasting=True, ask=steps.ask, step=steps)
    """

    def __init__(self) -> None:
        self.ask: Ask | None = self._ask if has_terminal() else None
        self._spinner = Status("", console=err)
        self._text = ""
        self._began = 0.0

    def __call__(self, text: str) -> None:
        """Begin a step; the one before it is done."""
        self._done()
        self._text, self._began = text, time.monotonic()
        if err.is_terminal:
            self._spinner.update(safe(f"{text} …"))
            self._spinner.start()
        else:
            note(f"{text} …")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spinner.stop()
        if error is None:
            self._done()
        elif isinstance(error, Exception) and err.is_terminal and self._text:
            note(f"{self._text} …")

    def _done(self) -> None:
        if err.is_terminal and self._text:
            err.print(safe(f"{self._text}  {time.monotonic() - self._began:.1f} s", "dim"), soft_wrap=True)
        self._text = ""

    async def _ask(self, prompt: Prompt) -> str | None:
        self._spinner.stop()
        answer = await ask_terminal(prompt)
        self._began = time.monotonic()  # a person's time is not the step's
        if err.is_terminal:
            self._spinner.start()
        return answer
