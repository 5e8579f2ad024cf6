"""Reports of runs on their way from a scheduler to whoever watches them: one subscription for each client."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

from distributed import Client

from simmate_remote.workflows.progress import TOPIC

Event = tuple[float, dict[str, Any]]
"""When the scheduler got a report, by its clock, and the report."""


class Listener(Protocol):
    """Wants to hear of runs."""

    def hear(self, event: Event) -> None:
        """Take a report; in Dask's thread."""


class _Subscription:
    """Passes a client's events on to those who want to hear of a run, as long as there are any."""

    def __init__(self, client: Client) -> None:
        self._client = weakref.ref(client)
        self._listeners: weakref.WeakValueDictionary[str, Listener] = weakref.WeakValueDictionary()
        self._subscribed = False
        self._lock = threading.RLock()

    def add(self, keys: Iterable[str], listener: Listener) -> None:
        with self._lock:
            self._listeners.update(dict.fromkeys(keys, listener))
            if not self._subscribed and (client := self._client()) is not None:
                client.subscribe_topic(TOPIC, self._pass_on)
                self._subscribed = True

    def remove(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._listeners.pop(key, None)
            self._end_if_alone()

    def _pass_on(self, event: Event) -> None:
        run, key = event[1]["run"], event[1].get("key", "")
        with self._lock:
            found = {id(one): one for one in map(self._listeners.get, (run, key)) if one is not None}
            self._end_if_alone()
        for listener in found.values():
            listener.hear(event)

    def _end_if_alone(self) -> None:
        client = self._client()
        if self._subscribed and not self._listeners and client is not None:
            self._subscribed = False
            if client.status == "running":
                client.unsubscribe_topic(TOPIC)


_subscriptions: weakref.WeakKeyDictionary[Client, _Subscription] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def listen(client: Client, keys: Iterable[str], listener: Listener) -> None:
    """Let somebody hear of runs, until he is removed or gone.

    Args:
        client: Of the cluster that the runs are on.
        keys: The runs', or those of tasks.
        listener: Who wants to hear of them, and of their parts; he is held only weakly.
    """
    with _lock:
        subscription = _subscriptions.setdefault(client, _Subscription(client))
    subscription.add(keys, listener)


def stop_listening(client: Client, keys: Iterable[str]) -> None:
    """Let nobody hear of runs any more."""
    with _lock:
        subscription = _subscriptions.get(client)
    if subscription is not None:
        subscription.remove(keys)
