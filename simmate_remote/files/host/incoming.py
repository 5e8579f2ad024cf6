"""The one file whose content comes just now: in memory if it is small, under a hidden name if it is not."""

from __future__ import annotations

from collections.abc import Callable

from simmate_remote.errors import ProtocolError
from simmate_remote.files.host.entries import SMALL, Begin, Entry
from simmate_remote.files.host.partial import Basis, Partial, write_small
from simmate_remote.files.host.target import Tree


class Incoming:
    """A file that has begun.

    Args:
        tree: Where it goes.
        entry: What was listed.
        head: What it was when the sender opened it.
    """

    def __init__(self, tree: Tree, entry: Entry, head: Begin) -> None:
        self.entry = entry
        self.head = head
        self.refused = False
        self._tree = tree
        self._left = head.size - head.offset
        self._small = bytearray()
        self._partial: Partial | None = None

    def begin(self, basis: Basis | None, go_on: Callable[[], None]) -> None:
        """Make room for it.

        Args:
            basis: What has the bytes before the head's offset.
            go_on: Called now and then while these are copied.

        Raises:
            OSError: It cannot be made.
        """
        if self.head.size > SMALL or self.head.offset:
            folder = self._tree.fd(self.entry.parent)
            self._partial = Partial(folder, self.entry.name, basis, self.head.offset, go_on)

    def write(self, content: memoryview) -> None:
        """Take what comes next.

        Raises:
            ProtocolError: It is more than was said.
            OSError: It cannot be written.
        """
        self._left -= len(content)
        if self._left < 0:
            raise ProtocolError("a file is longer than its head says")
        if self.refused:
            return
        if self._partial is not None:
            self._partial.write(content)
        else:
            self._small += content

    def complete(self) -> None:
        """Let it appear under its name.

        Raises:
            ProtocolError: It is not complete.
            OSError: It cannot be written, or not have its name.
            TakenOverError: Another transfer has begun it anew.
        """
        if self._left:
            raise ProtocolError("a file is shorter than its head says")
        if self._partial is not None:
            self._partial.complete(self.head)
        else:
            write_small(self._tree.fd(self.entry.parent), self.head, self.entry.name, self._small)

    def close(self) -> None:
        """Let go of it; what came of a large one is kept for the next time."""
        if self._partial is not None:
            self._partial.close()
            self._partial = None
