"""A host for the time of one command."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from distributed import Client
from distributed.utils import silence_logging_cmgr

from simmate_remote.cli.output import note
from simmate_remote.cli.steps import Steps
from simmate_remote.errors import ClusterError
from simmate_remote.inventory import Host
from simmate_remote.session.remote_cluster import RemoteCluster


@contextlib.contextmanager
def connected(host: Host) -> Iterator[Client]:
    """Give a client of a host's cluster; a connection that had to be made for it ends with the block.

    Raises:
        SimmateRemoteError: It could not connect.
    """
    with Steps() as steps:
        cluster = RemoteCluster(host, ask=steps.ask, step=steps, notice=note)
    with contextlib.ExitStack() as stack:
        stack.enter_context(cluster)
        if cluster.made_session:
            note(f"{host.name} was not connected: what this command starts there ends with it")
            stack.callback(note, f"ending everything on {host.name} …")
        # Dask's log would repeat, at length, what our error says.
        for name in ("distributed", "distributed.client"):
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL, name))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        try:
            yield client
        except ClusterError as error:
            if cluster.ended is None:
                raise
            # Whoever waited for the scheduler has only seen that it is gone; the session knows why.
            raise cluster.ended from error
