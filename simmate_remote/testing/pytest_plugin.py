"""A pytest plugin that comes with the package: fixtures for tests against the embedded host.

::

    def test_my_workflow(embedded_host, tmp_path, monkeypatch):
        embedded_host.inventory(tmp_path)
        monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path))
        with connect(embedded_host.alias) as lab:
            assert lab.client.submit(my_workflow, 1).result() == 2

Nothing here imports asyncssh or Dask before a test asks for a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simmate_remote.testing.embedded import EmbeddedHost


@pytest.fixture(scope="session")
def embedded_host() -> Iterator[EmbeddedHost]:
    """Give a lab box on loopback, one for the whole test session; what it runs ends with the session."""
    from simmate_remote.testing.embedded import EmbeddedHost

    with EmbeddedHost() as host:
        yield host
