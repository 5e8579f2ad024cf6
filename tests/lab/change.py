"""A change that can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager


class Change(AbstractContextManager[None]):
    """Something that has been changed already; as a context manager it is taken back at the end.

    Args:
        undo: Takes it back.
    """

    def __init__(self, undo: Callable[[], object]) -> None:
        self._undo = undo

    def __exit__(self, *_: object) -> None:
        self._undo()
