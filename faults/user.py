"""The user's process: it connects, lets work flow, and tells what became of it; faults are aimed at it too.

It reads orders, one JSON object a line, and answers each with one. Its first line is its settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

from faults import host_side
from faults.beats import Beats
from faults.echo import TARGET, EchoServer
from faults.eventstream import Eventstream
from faults.round import BLOBS, Load, Round
from simmate_remote import Host, connect
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.session.client import find

WORKERS = 2
LIMIT = 60.0


class User:
    """What the user's process has open.

    Args:
        host: Where to connect.
        blob: Bytes of each of the results that gathers fetch; 0: none are made.
    """

    def __init__(self, host: Host, blob: int) -> None:
        start = time.monotonic()
        self.host = host
        self.connection = connect(host)
        self.client = self.connection.client
        self.connect_seconds = time.monotonic() - start
        self.client.wait_for_workers(WORKERS, timeout=LIMIT)
        self.blobs = self.client.map(host_side.payload, BLOBS, size=blob, key=[f"blob-{seed}" for seed in BLOBS])
        self.client.gather(self.client.map(len, self.blobs))
        self.beats = Beats(self.client)
        self.events = Eventstream(self.connection.dashboard_link, self.client.loop)
        self.events.wait_open(LIMIT)
        self.echo = EchoServer()
        path = asyncio.run(_ask(host, "lend", target=TARGET, path=self.echo.path))
        self.client.run_on_scheduler(host_side.start_echo, path)
        self.echoed = 0
        self.round: Round | None = None

    def about(self) -> dict[str, Any]:
        """Say what can be broken."""
        status = asyncio.run(_ask(self.host, "status"))
        return {
            "connect_seconds": self.connect_seconds,
            "session": status["pid"],
            "ports": [int(self.client.scheduler.address.rpartition(":")[2]), _port(self.connection.dashboard_link)],
            "scheduler": self.client.run_on_scheduler(host_side.pid),
            "workers": sorted(self.client.run(host_side.pid).values()),
        }

    def begin(self, **load: Any) -> dict[str, Any]:
        """Begin a round, and answer when it flows."""
        if self.round is not None:
            self.round.forget()
        self.beats.start()
        self.beats.forget()
        self.events.finished.clear()
        self.echoed = self.client.run_on_scheduler(host_side.echo_found)["compared"]
        self.round = Round(self.client, self.blobs, Load(**load))
        self.round.wait_flowing(LIMIT)
        return {}

    def fall_silent(self) -> dict[str, Any]:
        """Let the host say nothing by itself any more."""
        self.beats.stop()
        return {}

    def outcome(self, limit: float, broken: float, mended: float) -> dict[str, Any]:
        """Say what became of the round.

        Args:
            limit: Seconds that everything may take to end.
            broken: Monotonic time from which on the way was broken.
            mended: Monotonic time from which on it was possible again.
        """
        assert self.round is not None
        found = self.round.outcome(limit)
        seen = [self.events.finished[key] for key in self.round.keys]
        return {
            **found,
            "status": self.client.status,
            "echo": self._echo(),
            "first_byte": self.beats.first(broken, mended),
            "dashboard": self.events.failure or _counts(self.connection.dashboard_link),
            "events_missing": seen.count(0),
        }

    def _echo(self) -> str | None:
        """Say what is wrong with the echo; None: nothing is, and it went on."""
        try:
            found = self.client.run_on_scheduler(host_side.echo_found)
        except Exception as error:  # noqa: BLE001 - the scheduler may be gone in any way
            return f"{type(error).__name__}: {error}"
        if found["wrong"]:
            return f"{found['wrong']} bytes wrong"
        if found["compared"] <= self.echoed:
            return "no byte came back any more"
        return str(found["failure"]) if found["failure"] else None


def _port(link: str) -> int:
    return int(link.split("/")[2].partition(":")[2])


def _counts(link: str) -> str | None:
    """Ask for a page of the dashboard; give what went wrong."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        opener.open(link, timeout=30).close()  # leaves the cookie
        with opener.open(link.partition("/status")[0] + "/json/counts.json", timeout=30) as page:
            json.load(page)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


async def _ask(host: Host, what: str, **arguments: Any) -> Any:
    session = await find(host)
    try:
        return await getattr(session, what)(**arguments)
    finally:
        session.close()
        await session.wait_closed()


def main() -> None:
    """Serve orders until stdin ends."""
    faulthandler.register(signal.SIGUSR1)
    settings = json.loads(sys.stdin.readline())
    host = Host.model_validate(settings["host"])
    user: list[User] = []

    def arrive() -> dict[str, Any]:
        user.append(User(host, settings["blob"]))
        return user[0].about()

    def leave() -> dict[str, Any]:
        asyncio.run(_ask(host, "stop", end_everything=True))
        return {}

    _answer(arrive)
    for line in sys.stdin:
        order = json.loads(line)
        _answer(partial(getattr(user[0], order["do"]), **order["with"]) if order["do"] != "leave" else leave)
    # Nobody gives orders any more: the harness was killed, or has had its answer. The session would last.
    with contextlib.suppress(SimmateRemoteError):
        leave()


def _answer(work: Callable[[], dict[str, Any]]) -> None:
    try:
        answer = work()
    except Exception as error:  # noqa: BLE001 - whatever a user would see is an answer
        answer = {"failed": type(error).__name__, "what": str(error)}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
