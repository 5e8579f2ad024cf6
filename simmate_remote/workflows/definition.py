"""What workflows and tasks have in common: a function of a module, that other processes find by its name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from simmate_remote.errors import WorkflowError

P = ParamSpec("P")
R = TypeVar("R")


class Definition(Generic[P, R]):
    """A function at the top of a module; called, it is the function itself.

    Args:
        function: What is called.
        place: What was written in the module: the same function, or the class that it is a method of.

    Raises:
        WorkflowError: It is inside a function, where no other process finds it.
    """

    __module__: str
    __qualname__: str

    def __init__(self, function: Callable[P, R], place: Any) -> None:
        if "<locals>" in place.__qualname__:
            raise WorkflowError(
                f"{place.__qualname__} is defined inside a function, where no other process can find it",
                detail="Workflows and tasks stand at the top of their module.",
            )
        self.function = function
        functools.update_wrapper(self, function)
        self.__module__, self.__qualname__, self.__doc__ = place.__module__, place.__qualname__, place.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Be the function, here and now: nothing is checked, sent or recorded."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> str:
        # By reference, as functions are pickled: the other side imports the module that it is in.
        return self.__qualname__
