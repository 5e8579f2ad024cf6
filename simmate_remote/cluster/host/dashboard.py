"""The scheduler's HTTP pages on the host, on a socket that only its owner can open; workers serve none.

Even with ``dashboard=False``, distributed's scheduler and workers listen for HTTP on TCP, in clear, and ask
nobody who they are. On a machine with other users that tells them everything. Here the same pages are served on
a Unix socket. Bokeh's live plots join them later: its import takes 0.5 s, more than the scheduler needs to start.

This module runs on the host, in the processes of scheduler and workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import dask
from distributed import Scheduler, Worker
from distributed.http.routing import RoutingApplication
from distributed.http.scheduler import missing_bokeh
from distributed.http.utils import get_handlers
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from simmate_remote.errors import SchedulerError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1
"""After how many seconds a browser asks again for a page that is still loading."""


class OwnerOnlyScheduler(Scheduler):  # type: ignore[misc]
    """A scheduler that opens no TCP port for HTTP; see :func:`serve_pages`.

    Its ``services`` name no dashboard, since a port in there would become a link that leads nowhere. So a
    cluster must say itself what its ``dashboard_link`` is; a client then follows its cluster.
    """

    http_server: HTTPServer
    http_application: RoutingApplication
    pages_socket: Path | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The proxy to workers' pages would find none, yet its websockets reach any port of the network.
        routes = [
            module
            for module in dask.config.get("distributed.scheduler.http.routes")
            if module != "distributed.http.proxy"
        ]
        with dask.config.set({"distributed.scheduler.http.routes": routes}):
            super().__init__(*args, **{**kwargs, "dashboard": False})

    def start_http_server(self, routes: list[Any], *_: Any, **__: Any) -> None:
        """Prepare the pages, and listen nowhere."""
        self.http_application = RoutingApplication(routes)
        self.http_application.add_application(_LoadingApplication())
        self.http_server = HTTPServer(self.http_application)
        self.http_server.port = 0  # read by distributed when it attaches bokeh's pages, to no effect

    async def close(self, *args: Any, **kwargs: Any) -> None:
        await super().close(*args, **kwargs)
        self.http_server.stop()
        await self.http_server.close_all_connections()
        if self.pages_socket is not None:
            self.pages_socket.unlink(missing_ok=True)
            self.pages_socket = None


class QuietWorker(Worker):  # type: ignore[misc]
    """A worker that serves no HTTP at all; what its pages would show is in the scheduler's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "dashboard": False})

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Do nothing."""


async def serve_pages(scheduler: OwnerOnlyScheduler, socket_path: Path) -> None:
    """Serve a scheduler's HTTP pages on a Unix socket until the scheduler closes.

    Args:
        scheduler: The scheduler, of this process and its event loop.
        socket_path: Where the socket shall be, at most 107 bytes long, in a folder that exists and that only
            its owner can enter. A socket that a dead process left there is replaced.

    Raises:
        SchedulerError: The folder is open to others, or the socket cannot be made.
    """
    folder = socket_path.parent
    try:
        status = folder.stat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise SchedulerError(f"the folder {folder} is open to other users, so no socket is made in it")
        listening = _listen(socket_path)
    except OSError as error:
        raise SchedulerError(f"no socket for the dashboard at {socket_path}: {error}") from error
    scheduler.http_server.add_socket(listening)
    scheduler.pages_socket = socket_path


async def attach_dashboard(scheduler: OwnerOnlyScheduler) -> None:
    """Load bokeh and add its live plots to the pages; until then they answer 503 and ask to be patient.

    The import happens in a thread, so the scheduler goes on meanwhile. Without a bokeh that fits, the pages
    name the version that is needed.

    Args:
        scheduler: The scheduler, of this process and its event loop; call this once for each.
    """
    try:
        dashboard = await asyncio.to_thread(importlib.import_module, "distributed.dashboard.scheduler")
    except ImportError as error:
        logger.warning("The dashboard has no live plots: %s", error)
        missing = Application(get_handlers(scheduler, [missing_bokeh.__name__]))
        scheduler.http_application.add_application(missing)
    else:
        # Where websockets come from is checked by the gate, which sends no Origin on: bokeh's own list never counts.
        dashboard.connect(scheduler.http_application, scheduler.http_server, scheduler, prefix="/")
    applications = scheduler.http_application.applications
    applications[:] = [each for each in applications if not isinstance(each, _LoadingApplication)]


def _listen(path: Path) -> socket.socket:
    with contextlib.ExitStack() as on_error:
        listening = on_error.enter_context(socket.socket(socket.AF_UNIX))
        if path.is_socket():
            path.unlink()
        listening.bind(os.fspath(path))
        path.chmod(0o600)
        listening.setblocking(False)
        listening.listen()
        on_error.pop_all()
    return listening


class _LoadingApplication(Application):  # type: ignore[misc]
    """Answers for pages that bokeh will serve soon."""

    def __init__(self) -> None:
        super().__init__([(r".*", _LoadingHandler)])


class _LoadingHandler(RequestHandler):  # type: ignore[misc]
    def get(self) -> None:
        self.set_status(503)
        self.set_header("Retry-After", str(RETRY_SECONDS))
        self.set_header("Refresh", str(RETRY_SECONDS))
        self.set_header("Cache-Control", "no-store")
        self.finish(
            "<!DOCTYPE html><title>Dask: loading</title>"
            "<p>The dashboard is still loading; this page opens by itself when it is there."
        )
