"""A whole session over the link through the ssh program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask.distributed import Client

from simmate_remote import RemoteCluster
from tests.hosts import host_of

if TYPE_CHECKING:
    from tests.boxes import Box


def test_work_is_done_over_one_login(box: Box) -> None:
    with RemoteCluster(host_of(box, link="openssh")) as cluster, Client(cluster) as client:
        assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
        data = client.submit(bytes, 30_000_000, pure=False).result(timeout=30)
        assert len(data) == 30_000_000
        assert box.logins() == 1
