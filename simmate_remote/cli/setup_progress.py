"""How setup goes on several hosts at once: a line with a bar for each in a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from simmate_remote.cli.output import err, note, safe
from simmate_remote.environment.setup import Feedback
from simmate_remote.link import Prompt
from simmate_remote.session.terminal import ask_terminal, has_terminal

TENTHS = 10


class SetupProgress:
    """Shows the steps of each host, and makes room for questions, one at a time.

    Args:
        names: The hosts' names.
    """

    def __init__(self, names: list[str]) -> None:
        self._asking = asyncio.Lock()
        self._told: dict[str, tuple[str, int]] = {}
        self._rows: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        if err.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *map(_WhileSending, _BYTES))
            self._bars = Progress(*columns, console=err)
            self._rows = {name: self._bars.add_task(name, total=None, sending=False) for name in names}

    def feedback(self, name: str) -> Feedback:
        """Give what one host's setup tells, and asks; steps and progress may come from any thread."""
        return Feedback(
            lambda text: self._step(name, text),
            lambda sent, total: self._sent(name, sent, total),
            self._ask if has_terminal() else None,
        )

    def done(self, name: str) -> None:
        """Take a host's line away: its result follows."""
        if self._bars is not None:
            self._bars.remove_task(self._rows[name])

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _step(self, name: str, text: str) -> None:
        if self._bars is not None:
            description = safe(f"{name}: {text}").plain
            self._bars.update(self._rows[name], description=description, sending=False)
        else:
            self._told[name] = text, 0
            note(f"{name}: {text} …")

    def _sent(self, name: str, sent: int, total: int) -> None:
        if self._bars is not None:
            self._bars.update(self._rows[name], completed=sent, total=total, sending=True)
            return
        text, before = self._told[name]
        tenths = TENTHS * sent // max(total, 1)
        if tenths > before:
            self._told[name] = text, tenths
            note(f"{name}: {text}, {decimal(sent)} of {decimal(total)}")

    async def _ask(self, prompt: Prompt) -> str | None:
        async with self._asking:
            if self._bars is not None:
                self._bars.stop()
            try:
                return await ask_terminal(prompt)
            finally:
                if self._bars is not None:
                    self._bars.start()


class _WhileSending(ProgressColumn):
    """A column that shows nothing while nothing is sent."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return self._column(task) if task.fields["sending"] else Text()


_BYTES = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
