"""The host's beats as they arrive here: what tells when bytes flow again."""

from __future__ import annotations

import time
from typing import Any

from distributed import Client

from faults import host_side


class Beats:
    """Notes when each beat of the host was sent and when it arrived.

    Both are readings of one clock: the lab's machine shares this one's monotonic clock.

    Args:
        client: A client of the cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._noted: list[tuple[float, float]] = []
        client.subscribe_topic(host_side.TOPIC, self._note)
        self.start()

    def start(self) -> None:
        """Let the host beat."""
        self._client.run_on_scheduler(host_side.start_beats)

    def stop(self) -> None:
        """Let the host fall silent."""
        self._client.run_on_scheduler(host_side.stop_beats)

    def forget(self) -> None:
        """Forget what was noted so far."""
        self._noted.clear()

    def first(self, broken: float, mended: float) -> float | None:
        """Give the seconds from ``mended`` to the arrival of the first beat that was sent after ``broken``."""
        arrivals = [arrived for sent, arrived in self._noted if sent >= broken and arrived >= mended]
        return min(arrivals) - mended if arrivals else None

    def _note(self, event: tuple[float, Any]) -> None:
        self._noted.append((float(event[1]), time.monotonic()))
