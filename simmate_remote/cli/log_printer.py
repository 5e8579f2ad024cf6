"""Output of several programs on one screen: every line says whose it is."""

from __future__ import annotations

from typing import TextIO

from simmate_remote.cli.output import safe


class LogPrinter:
    """Writes pieces of logs; a piece may begin and end within a line.

    Args:
        file: Where to.
        visible: Whether control characters are written as text, so that none reaches a terminal.
    """

    def __init__(self, file: TextIO, *, visible: bool) -> None:
        self._file = file
        self._visible = visible
        self._unfinished = ""

    def write(self, name: str, text: str) -> None:
        """Write a piece.

        Args:
            name: Whose it is.
            text: Any text.
        """
        if self._unfinished != name:
            self.end()
        if self._visible:
            text = safe(text.replace("\r\n", "\n")).plain
        # Not splitlines(), for which a carriage return ends a line, too.
        *lines, rest = text.split("\n")
        for line in lines:
            self._start_line(name)
            self._file.write(f"{line}\n")
            self._unfinished = ""
        if rest:
            self._start_line(name)
            self._file.write(rest)
        self._file.flush()

    def end(self) -> None:
        """End the line that is open, if any is."""
        if self._unfinished:
            self._file.write("\n")
            self._file.flush()
            self._unfinished = ""

    def _start_line(self, name: str) -> None:
        if not self._unfinished:
            self._file.write(f"{safe(name).plain:<10} | ")
            self._unfinished = name
