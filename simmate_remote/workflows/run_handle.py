"""A durable run on a host, for whoever began it: it stays, whatever becomes of this process."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from simmate_remote.errors import RunError, SimmateRemoteError, WorkflowError, error_from_dict, error_to_dict
from simmate_remote.workflows.bundle import Bundle
from simmate_remote.workflows.call import load_answer
from simmate_remote.workflows.current import KEPT
from simmate_remote.workflows.desk_watch import DeskWatch
from simmate_remote.workflows.failures import run_cancelled
from simmate_remote.workflows.handle import Handle, Status
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.run_tasks import RunTasks
from simmate_remote.workflows.watching import Update

if TYPE_CHECKING:
    from simmate_remote.workflows.run_files import RunFiles

R = TypeVar("R")


class RunHandle(Handle[R]):
    """A run at a host's desk.

    Args:
        name: What runs.
        run: Its id.
        folder: Its folder on the host.
        code: The own code that it runs with.
        watch: Knows how it goes, and others that began with it.
        digest: That of its own code, where the code itself is not here.

    Attributes:
        id: The run's, good for ``simmate-remote runs``.
        folder: Its folder on the host.
    """

    def __init__(
        self, name: str, run: str, folder: str, code: Bundle | None, watch: DeskWatch, digest: str = ""
    ) -> None:
        self.name = name
        self.id = run
        self.folder = folder
        self._code = code
        self._digest = code.digest if code is not None else digest
        self._watch = watch
        self._began = time.monotonic()
        self._outcome: RunOutcome | None = None
        self._reading = threading.Lock()

    def outcome(self, timeout: float | None = None) -> RunOutcome:
        if self._outcome is not None:
            return self._outcome
        deadline = None if timeout is None else time.monotonic() + timeout
        ending = self._watch.wait(self.id, timeout)
        # Of several who wait at the same time one reads, and fetches what is large; the others have that, too.
        left = -1 if deadline is None else max(0.0, deadline - time.monotonic())
        if ending is None or not self._reading.acquire(timeout=left):
            if ending is not None:
                raise TimeoutError(f"{self.name} has ended, and its result is not here after {timeout:g} s")
            raise TimeoutError(f"{self.name} has not ended after {timeout:g} s; it goes on")
        try:
            if self._outcome is None:
                if ending["state"] == "cancelled":
                    raise run_cancelled(self.name, self._watch.host)
                # The desk's words stay until they have been read: what raises here raises, or is tried, again.
                self._outcome = self._read(ending)
                self._watch.drop(self.id)
            return self._outcome
        finally:
            self._reading.release()

    @property
    def status(self) -> Status:
        state = self._watch.ending(self.id)
        if state is None:
            now = self.progress.state
            return "running" if now == "finished" else now
        return state

    @property
    def progress(self) -> Update:
        if not self.done():
            self._watch.listen()
        return self._watch.latest(self.id)

    @property
    def tasks(self) -> RunTasks:
        if not self.done():
            self._watch.listen()
        return self._watch.tasks(self.id)

    def done(self) -> bool:
        return self._watch.ending(self.id) is not None

    def logs(self) -> str:
        with contextlib.suppress(LookupError):  # it has not printed anything
            size = self._watch.living().call("read", id=self.id, path="output.log", offset=0, length=0)["size"]
            begin = max(0, size - KEPT)
            part = self._watch.living().call("read", id=self.id, path="output.log", offset=begin, length=KEPT)
            return base64.b64decode(part["data"]).decode(errors="replace")
        return ""

    @property
    def files(self) -> RunFiles:
        """The files that it has made, on the host until they are fetched."""
        # Here and not above: a host, which imports this module too, has no way to another one.
        from simmate_remote.workflows.run_files import RunFiles

        return RunFiles(self._watch.desk.host, self.folder)

    def cancel(self) -> None:
        self._watch.living().call("cancel", id=self.id)

    def listen(self, tasks: RunTasks | None) -> None:
        """Take what it reports from now on, its parts by somebody's own list of them."""
        if tasks is not None:
            self._watch.use(self.id, tasks)
        self._watch.listen()

    def settle(self) -> Update:
        """Give how far it was at its end, once that is known; it has ended."""
        self._watch.settle(self.id)
        return self.progress

    def wait_for_news(self, timeout: float) -> None:
        """Wait until there is something new about it, or others that began with it, or for some seconds."""
        self._watch.news.wait(timeout)
        self._watch.news.clear()

    def _read(self, ending: dict[str, Any]) -> RunOutcome:
        seconds = time.monotonic() - self._began
        common = (ending["attempt"], ending["worker"], seconds, ending["printed"])
        if (error := ending["error"]) is not None:
            if not error["traceback"]:
                raise self._of_ours(error)
            return self._failed(ending, error, *common)
        data = self._result(ending)
        try:
            result = load_answer(data, self._digest)
        except Exception as error_here:
            raise WorkflowError(
                "the function has finished, and its result cannot be understood here: "
                f"{type(error_here).__name__}: {error_here}",
                host=self._watch.host,
                meanwhile=f"the result is kept on the host, in {self.folder}",
                detail="Packages whose classes are in the result have to be installed here, too, in the same version.",
            ) from error_here
        return RunOutcome(result, None, "", *common, run=self.id)

    def _result(self, ending: dict[str, Any]) -> bytes:
        """Give the pickled result; a large one is on the host until now."""
        if ending["result"] is not None:
            return base64.b64decode(ending["result"])
        try:
            desk = self._watch.living()
        except SimmateRemoteError as error:
            kept = f"the run has finished, and its result is kept on the host, in {self.folder}"
            raise error_from_dict({**error_to_dict(error), "meanwhile": kept}) from error
        if not ending["file"]:
            ending = desk.call("outcome", id=self.id)
        if ending["result"] is not None:
            return base64.b64decode(ending["result"])
        return desk.fetch(self.id, ending["file"], ending["sha256"])

    def _failed(
        self, ending: dict[str, Any], error: dict[str, str], attempts: int, worker: str, seconds: float, printed: str
    ) -> RunOutcome:
        text = error["traceback"]
        if self._code is not None and ending["place"]:
            text = self._code.as_known_here(text, ending["place"])
        raised: BaseException = RuntimeError(text.strip().splitlines()[-1])
        if error["pickled"]:
            with contextlib.suppress(Exception):  # such as a class of a package that is not installed here
                raised = load_answer(base64.b64decode(error["pickled"]), self._digest)
        return RunOutcome(None, raised, text, attempts, worker, seconds, printed, self.id)

    def _of_ours(self, error: dict[str, str]) -> SimmateRemoteError:
        """Make the error with which the desk, and not the function, has let the run fail."""
        like = error_to_dict(RunError(error["text"], host=self._watch.host, run=self.id, folder=self.folder))
        return error_from_dict({**like, "error": error["type"] if error["type"] in _KNOWN else "RunError"})


_KNOWN = frozenset({"RunError", "RunNotFoundError", "RunDamagedError", "RunInterruptedError"})
"""Errors that the desk lets runs fail with, and that are made like :class:`RunError`."""
