"""A connection that keeps the embedded server running; a module of its own, since it needs psycopg."""

from __future__ import annotations

from typing import Any

import psycopg

from simmate_remote.database.embedded.server import Hold


class HoldingConnection(psycopg.Connection[Any]):
    """A connection to the embedded server, which may be stopped once nobody has one.

    Attributes:
        hold: What keeps it.
    """

    hold: Hold | None = None

    def close(self) -> None:
        """Close the connection, and let the server be stopped as far as this one is concerned."""
        super().close()
        if self.hold is not None:
            self.hold.give_back()
