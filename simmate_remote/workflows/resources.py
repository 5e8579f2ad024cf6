"""What a workflow runs on, and starting it there."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

from distributed import Client, Future, get_client
from distributed.deploy.cluster import Cluster

from simmate_remote.runs.recording import Recorded
from simmate_remote.workflows.agreement import check_agreement
from simmate_remote.workflows.call import own_traceback
from simmate_remote.workflows.current import current
from simmate_remote.workflows.desk_watch import DeskWatch, RunDesk
from simmate_remote.workflows.handle import ClusterHandle, FinishedHandle, Handle
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.places import open_place
from simmate_remote.workflows.progress import current_reporter, send
from simmate_remote.workflows.recorded import run_recorded, submit_recorded
from simmate_remote.workflows.run_handle import RunHandle
from simmate_remote.workflows.specs import spec_of
from simmate_remote.workflows.submission import Prepared, prepare
from simmate_remote.workflows.target import Target, call
from simmate_remote.workflows.waiting import inside_a_task
from simmate_remote.workflows.watching import Watch

Resource: TypeAlias = str | Client | Cluster | RunDesk
"""A host's name, ``"local"``, ``"serial"``, a client or cluster of Dask's, or the desk of a host."""


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
        if isinstance(on, str) and on != "local":
            return list(start_at_desk(target, sets, _connections.desk(on)))
        if isinstance(on, RunDesk):
            return list(start_at_desk(target, sets, on))
        client, host = _connections.client(on, host)
    # All are packed before the first is sent: one that cannot be sent is refused before anything has begun.
    prepared = _parts(target, sets) if part else [prepare(target, parameters) for parameters in sets]
    if prepared:
        prepared[0].ship(client, host)
    watch = Watch(client, [each.key for each in prepared])
    records: list[Recorded | None] = [None] * len(sets)

    def submit() -> list[Future]:
        return [each.submit(client) for each in prepared]

    if part:
        futures = submit()
    else:
        futures, records = submit_recorded(target, sets, submit, on if isinstance(on, str) else "cluster")
    return [
        ClusterHandle(target.name, each, future, host, watch, recorded)
        for each, future, recorded in zip(prepared, futures, records, strict=True)
    ]


def start_at_desk(target: Target, sets: Sequence[dict[str, Any]], desk: RunDesk) -> list[RunHandle[Any]]:
    """Start durable runs of a target on a host, one for each set of parameters.

    Args:
        target: What to run.
        sets: Checked parameters, by name.
        desk: The host's.

    Raises:
        SimmateRemoteError: They could not be sent, or were not taken.
    """
    # All are packed before the first is sent: one that cannot be sent is refused before anything has begun.
    prepared = [prepare(target, parameters) for parameters in sets]
    written = [spec_of(target, parameters, each) for parameters, each in zip(sets, prepared, strict=True)]
    if not written:
        return []
    if (installed := prepared[0].installed) is not None:
        check_agreement(desk, installed, desk.name)
    blobs = {digest: content for _, own in written for digest, content in own.items()}
    folders = desk.create((spec for spec, _ in written), blobs)
    watch = DeskWatch(desk, folders)
    return [
        RunHandle(target.name, spec.id, folders[spec.id], each.code, watch)
        for (spec, _), each in zip(written, prepared, strict=True)
    ]


def _parts(target: Target, sets: Sequence[dict[str, Any]]) -> list[Prepared]:
    """Prepare what a run starts where it is itself: it belongs to the run, is named by it, and ends with it."""
    one, reporter = current(), current_reporter()
    if one is None or reporter is None:  # a task of Dask's that is no run of ours
        return [prepare(target, parameters) for parameters in sets]
    before = f"{reporter.label}/" if reporter.label else ""
    prepared = [
        prepare(target, parameters, part_of=one, label=f"{before}{target.name} {one.count(target.name)}")
        for parameters in sets
    ]
    send({"run": one.run, "execution": one.execution, "added": {target.name: len(sets)}})
    return prepared


def _run_here(target: Target, parameters: dict[str, Any]) -> Handle[Any]:
    began = time.monotonic()
    ids: list[str] = []
    try:
        result = run_recorded(
            target, parameters, lambda: call(target.function, parameters), lambda recorded: ids.append(recorded.id)
        )
        error, text = None, ""
    except Exception as raised:  # noqa: BLE001 - whatever a function raises is its outcome
        result, error, text = None, raised, own_traceback(raised)
    outcome = RunOutcome(result, error, text, 1, "serial", time.monotonic() - began)
    return FinishedHandle(target.name, outcome, "".join(ids))


class _Connections:
    """This process's clients and desks, one for each resource; they close when the process ends."""

    def __init__(self) -> None:
        self._clients: dict[Any, Client] = {}
        self._desks: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._locks: defaultdict[Any, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        atexit.register(self._stack.close)

    def client(self, on: Client | Cluster | str, host: str | None) -> tuple[Client, str | None]:
        """Give the client of a resource, and what the user calls it if it is a host."""
        if isinstance(on, Client):
            return on, host
        with self._lock_of(on):
            known = self._clients.get(on)
            if known is None or known.status != "running":
                known = self._clients[on] = self._stack.enter_context(
                    Client(on, set_as_default=False) if isinstance(on, Cluster) else open_place("local")
                )
        return known, host

    def desk(self, host: str) -> RunDesk:
        """Give the desk of a host, by its name."""
        # Here and not above: on the host, where this module is imported too, there is no session.
        from simmate_remote.inventory import load_host
        from simmate_remote.session.desk import Desk

        with self._lock_of(host):
            known: Desk | None = self._desks.get(host)
            if known is None or known.ended is not None:
                known = Desk(load_host(host))
                known.open()
                self._desks[host] = known
                self._stack.callback(known.close)
        return known

    def _lock_of(self, on: Any) -> threading.Lock:
        """Give a resource's lock: a login may wait for a person, and what goes elsewhere does not wait for that."""
        with self._lock:
            return self._locks[on]


_connections = _Connections()
