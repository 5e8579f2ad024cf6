"""What a workflow runs on, and starting it there."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

from distributed import Client, get_client
from distributed.deploy.cluster import Cluster

from simmate_remote.errors import SimmateRemoteError
from simmate_remote.workflows.call import own_traceback
from simmate_remote.workflows.current import current
from simmate_remote.workflows.handle import ClusterHandle, FinishedHandle, Handle
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.places import open_place
from simmate_remote.workflows.progress import current_reporter, send
from simmate_remote.workflows.submission import Prepared, prepare
from simmate_remote.workflows.target import Target, call
from simmate_remote.workflows.waiting import inside_a_task
from simmate_remote.workflows.watching import Watch

Resource: TypeAlias = str | Client | Cluster
"""A host's name, ``"local"``, ``"serial"``, or a client or cluster of Dask's."""


def start(
    target: Target, sets: Sequence[dict[str, Any]], on: Resource | None, *, host: str | None = None
) -> list[Handle[Any]]:
    """Start a target once for each set of parameters.

    Args:
        target: What to run.
        sets: Checked parameters, by name.
        on: Where; None: where the code that calls runs.
        host: What the user calls it, for messages, if ``on`` is a client.

    Raises:
        SimmateRemoteError: It could not be sent, or the host could not be reached.
    """
    part = on is None and inside_a_task()
    if part:
        client = get_client()
    elif on is None or on == "serial":
        return [_run_here(target, parameters) for parameters in sets]
    else:
        client, host = _connections.client(on, host)
    # All are packed before the first is sent: one that cannot be sent is refused before anything has begun.
    prepared = _parts(target, sets) if part else [prepare(target, parameters) for parameters in sets]
    if prepared:
        prepared[0].ship(client, host)
    watch = Watch(client, [each.key for each in prepared])
    return [ClusterHandle(target.name, each, each.submit(client), host, watch) for each in prepared]


def _parts(target: Target, sets: Sequence[dict[str, Any]]) -> list[Prepared]:
    """Prepare what a run starts where it is itself: it belongs to the run, is named by it, and ends with it."""
    one, reporter = current(), current_reporter()
    if one is None or reporter is None:  # a task of Dask's that is no run of ours
        return [prepare(target, parameters) for parameters in sets]
    before = f"{reporter.label}/" if reporter.label else ""
    prepared = [
        prepare(target, parameters, run=one.run, label=f"{before}{target.name} {one.count(target.name)}")
        for parameters in sets
    ]
    send({"run": one.run, "added": {target.name: len(sets)}})
    return prepared


def _run_here(target: Target, parameters: dict[str, Any]) -> Handle[Any]:
    began = time.monotonic()
    try:
        result, error, text = call(target.function, parameters), None, ""
    except Exception as raised:  # noqa: BLE001 - whatever a function raises is its outcome
        result, error, text = None, raised, own_traceback(raised)
    return FinishedHandle(target.name, RunOutcome(result, error, text, 1, "serial", time.monotonic() - began))


class _Connections:
    """This process's clients, one for each resource; they close when the process ends."""

    def __init__(self) -> None:
        self._clients: dict[Any, Client] = {}
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        atexit.register(self._stack.close)

    def client(self, on: Resource, host: str | None) -> tuple[Client, str | None]:
        """Give the client of a resource, and what the user calls it if it is a host."""
        if isinstance(on, Client):
            return on, host
        host = on if isinstance(on, str) and on != "local" else host
        with self._lock:
            known = self._clients.get(on)
            if known is None or known.status != "running":
                known = self._clients[on] = self._open(on)
        return known, host

    def _open(self, on: str | Cluster) -> Client:
        if isinstance(on, Cluster):
            return self._stack.enter_context(Client(on, set_as_default=False))
        if on == "local":
            return self._stack.enter_context(open_place("local"))
        # Here and not above: on the host, where this module is imported too, there is no session.
        from simmate_remote.session.remote_cluster import RemoteCluster

        cluster = self._stack.enter_context(RemoteCluster(on))
        try:
            return self._stack.enter_context(Client(cluster, set_as_default=False))
        except Exception as error:
            if isinstance(cluster.ended, SimmateRemoteError):
                raise cluster.ended from error
            raise


_connections = _Connections()
