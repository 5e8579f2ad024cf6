"""What a run on a host has printed, as it stands in its folder."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

from simmate_remote.errors import RunNotFoundError
from simmate_remote.runs.states import ENDED
from simmate_remote.session.desk import Desk
from simmate_remote.session.handing_over import PART

PAUSE = 0.5
OUTPUT = "output.log"


def output_of(desk: Desk, run: str, *, follow: bool) -> Iterator[str]:
    """Yield what a run has printed.

    Args:
        desk: The host's.
        run: The run's id.
        follow: Whether to go on until the run has ended.
    """
    offset = 0
    while True:
        # Asked before it is read: what was printed last is not missed.
        state = desk.call("status", ids=[run]).get(run, {}).get("state")
        while data := _part(desk, run, offset):
            offset += len(data)
            yield data.decode(errors="replace")
        if not follow or state is None or state in ENDED:
            return
        time.sleep(PAUSE)


def _part(desk: Desk, run: str, offset: int) -> bytes:
    try:
        part = desk.call("read", id=run, path=OUTPUT, offset=offset, length=PART)
    except RunNotFoundError:
        return b""  # it has not printed anything
    return base64.b64decode(part["data"])
