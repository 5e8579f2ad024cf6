"""How often tasks were started: asked for many at once, since each question is a round trip."""

from __future__ import annotations

from typing import Any

from distributed import Client

_ENDED = frozenset({"memory", "erred"})


class Attempts:
    """The attempts of tasks that were submitted together.

    Args:
        client: Of the cluster.
        keys: The tasks'.
    """

    def __init__(self, client: Client, keys: list[str]) -> None:
        self._client = client
        self._waiting = set(keys)
        self._known: dict[str, int] = {}

    def of(self, key: str) -> int:
        """Give how often a task that has ended was started; asks for all that have ended by now."""
        if key not in self._known:
            found: dict[str, int] = self._client.run_on_scheduler(_look, list(self._waiting))
            self._known |= found
            self._waiting -= set(found)
        return self._known.get(key, 1)


def _look(keys: list[str], dask_scheduler: Any) -> dict[str, int]:
    """Count the attempts of tasks that have ended; this runs on the scheduler."""
    tasks = ((key, dask_scheduler.tasks.get(key)) for key in keys)
    return {key: task.suspicious + 1 for key, task in tasks if task is not None and task.state in _ENDED}
