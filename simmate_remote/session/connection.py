"""``connect``: one call from a host's name to a Dask client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from distributed import Client

from simmate_remote.inventory import Host
from simmate_remote.link import Ask
from simmate_remote.session.remote_cluster import RemoteCluster

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Connection(contextlib.AbstractContextManager["Connection"]):
    """A host that is here; :func:`connect` makes it. Closing it leaves the session, and the work on the host, alone.

    Attributes:
        cluster: The cluster on the host, a :class:`RemoteCluster`.
        client: A Dask client of it.
    """

    def __init__(self, cluster: RemoteCluster) -> None:
        self.cluster = cluster
        self.client = Client(cluster)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine, for a browser of this machine."""
        return self.cluster.dashboard_link

    @property
    def database(self) -> Engine:
        """The database that workers there use, too: :data:`simmate_remote.database.engine`."""
        from simmate_remote import database

        return database.engine

    def close(self) -> None:
        """Let go of the session."""
        self.client.close()
        self.cluster.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(host: str | Host, *, ask: Ask | None = None) -> Connection:
    """Connect to a host, or join the session that is connected to it.

    The session lasts: it goes on after this process, until ``simmate-remote disconnect``.

    Args:
        host: The name of a host, or a :class:`simmate_remote.inventory.Host`.
        ask: Answers what the login asks (password, code, host key); default: the terminal, if there is one.

    Raises:
        SimmateRemoteError: It could not connect; the subclass says why, and nothing was left running.
    """
    return Connection(RemoteCluster(host, ask=ask, outlive=True))
