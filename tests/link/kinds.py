"""Both kinds of link, for the tests that hold over either."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from simmate_remote.link import Destination

current: Literal["asyncssh", "openssh"] = "asyncssh"


def to(name: str, config: Path | str, **options: float) -> Destination:
    """Name a destination, by the kind of link that the test is run with."""
    return Destination("lab", name, config=str(config), link=current, **options)  # type: ignore[arg-type]
