"""A handle of a run at a desk: whoever asks, and however often, has the same answer."""

from __future__ import annotations

import asyncio
import base64
import pickle
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import pytest

from simmate_remote.errors import (
    NoSessionError,
    RunCancelledError,
    RunInterruptedError,
    SessionStoppedError,
    WorkflowError,
)
from simmate_remote.inventory import Host
from simmate_remote.runs.host.spec import Spec
from simmate_remote.workflows.attaching import attach
from simmate_remote.workflows.desk_watch import DeskWatch
from simmate_remote.workflows.run_handle import RunHandle
from simmate_remote.workflows.run_tasks import Counts, RunTasks
from simmate_remote.workflows.watching import Update

LIMIT = 5.0
RUN = "run-1"


class PlayedDesk:
    """A desk that tells of ends when it is let.

    Args:
        endings: What it tells.
    """

    def __init__(self, *endings: dict[str, Any]) -> None:
        self.name = "lab"
        self.host = Host(name="lab", ssh="lab")
        self.endings = list(endings)
        self.following: Future[None] = Future()
        self.successor: PlayedDesk | NoSessionError = self
        self.content: bytes | Exception = b""
        self.fetched = 0
        self._take: Callable[[dict[str, Any]], None] = lambda _: None

    def again(self) -> PlayedDesk:
        if isinstance(self.successor, NoSessionError):
            raise self.successor
        return self.successor

    def follow(
        self, name: str, ids: Iterable[str], take: Callable[[dict[str, Any]], None], **_further: Any
    ) -> Future[None]:
        if name != "outcomes":
            return Future()
        self._take = take
        return self.following

    def tell(self) -> None:
        for each in self.endings:
            self._take(each)
        self.following.set_result(None)

    def call(self, _name: str, /, **_arguments: Any) -> Any:
        return self.endings[0]

    def create(self, _specs: Iterable[Any], _blobs: Any) -> dict[str, str]:
        raise NotImplementedError

    def blob(self, _digest: str) -> bytes:
        raise NotImplementedError

    def fetch(self, _run: str, _path: str, _sha256: str = "") -> bytes:
        self.fetched += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


def ended(state: str = "finished", **about: Any) -> dict[str, Any]:
    common = {"attempt": 1, "worker": "w", "printed": "", "error": None, "result": None, "file": "", "place": ""}
    return {"run": RUN, "state": state, "sha256": "", **common, **about}


def travelling(result: bytes) -> str:
    return base64.b64encode(result).decode()


def handle_at(desk: PlayedDesk) -> RunHandle[Any]:
    return RunHandle("relax", RUN, "/runs/run-1", None, DeskWatch(desk, [RUN]))


def in_time(work: Callable[[], Any]) -> Any:
    """Do something that must not wait for ever, in a thread that the test can leave."""
    got: Future[Any] = Future()

    def do() -> None:
        try:
            got.set_result(work())
        except BaseException as error:  # noqa: BLE001 - told to the test
            got.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return got.result(LIMIT)


GIVEN_UP = {"type": "RunInterruptedError", "text": "five attempts were ended", "traceback": "", "pickled": ""}
ERRORS = [
    (ended("failed", error=GIVEN_UP), RunInterruptedError),
    (ended(result=travelling(b"no pickle")), WorkflowError),
    (ended("cancelled"), RunCancelledError),
]


@pytest.mark.parametrize(("ending", "raised"), ERRORS, ids=["given up", "unreadable", "cancelled"])
def test_a_second_call_raises_what_the_first_one_did(ending: dict[str, Any], raised: type[Exception]) -> None:
    desk = PlayedDesk(ending)
    handle = handle_at(desk)
    desk.tell()
    texts = []
    for _ in range(2):
        with pytest.raises(raised) as error:
            in_time(handle.result)
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_several_who_wait_at_the_same_time_have_one_answer_that_is_fetched_once() -> None:
    desk = PlayedDesk(ended(file="result.pickle"))
    desk.content = pickle.dumps([1, 2])
    handle = handle_at(desk)

    async def both() -> list[Any]:
        waiting = [asyncio.ensure_future(_awaited(handle)) for _ in range(4)]
        await asyncio.sleep(0)
        desk.tell()
        return await asyncio.wait_for(asyncio.gather(*waiting), LIMIT)

    answers = in_time(lambda: asyncio.run(both()))
    assert answers == [[1, 2]] * 4
    assert all(each is answers[0] for each in answers)
    assert desk.fetched == 1


async def _awaited(handle: RunHandle[Any]) -> Any:
    return await handle


def test_a_result_that_could_not_be_fetched_is_fetched_by_the_next_call_from_the_desk_that_is_there_then() -> None:
    desk = PlayedDesk(ended(file="result.pickle"))
    desk.content = SessionStoppedError("the session ended", host="lab")
    handle = handle_at(desk)
    desk.tell()
    with pytest.raises(SessionStoppedError):
        in_time(handle.result)
    desk.successor = NoSessionError("nothing is connected to this host", host="lab")
    with pytest.raises(NoSessionError, match="kept on the host, in /runs/run-1"):
        in_time(handle.result)
    desk.successor = PlayedDesk()
    desk.successor.content = pickle.dumps("all of it")
    assert in_time(handle.result) == "all of it"
    assert in_time(handle.result) == "all of it"
    assert handle.status == "finished"


def test_what_the_desk_has_said_is_not_kept_beside_the_result() -> None:
    desk = PlayedDesk(ended(result=travelling(pickle.dumps(3))))
    watch = DeskWatch(desk, [RUN])
    handle: RunHandle[int] = RunHandle("relax", RUN, "", None, watch)
    desk.tell()
    assert in_time(handle.result) == 3
    assert watch.wait(RUN, 0) == {}


def test_a_timeout_ends_the_waiting_for_somebody_else_who_fetches() -> None:
    desk = PlayedDesk(ended(file="result.pickle"))
    began, go = threading.Event(), threading.Event()

    def slowly(_run: str, _path: str, _sha256: str = "") -> bytes:
        began.set()
        assert go.wait(LIMIT)
        return pickle.dumps(1)

    desk.fetch = slowly  # type: ignore[method-assign]
    handle = handle_at(desk)
    desk.tell()
    first = threading.Thread(target=handle.result, daemon=True)
    first.start()
    assert began.wait(LIMIT)
    with pytest.raises(TimeoutError, match="its result is not here after 0"):
        handle.result(0.05)
    go.set()
    first.join(LIMIT)
    assert in_time(handle.result) == 1


class ReportingDesk(PlayedDesk):
    """A desk that tells of the end before it tells what the run had reported by then."""

    def __init__(self, *endings: dict[str, Any]) -> None:
        super().__init__(*endings)
        self.events: Future[None] = Future()
        self.report: Callable[[dict[str, Any]], None] = lambda _: None
        self.asked = threading.Event()

    def follow(
        self, name: str, ids: Iterable[str], take: Callable[[dict[str, Any]], None], **further: Any
    ) -> Future[None]:
        if name == "outcomes":
            return super().follow(name, ids, take, **further)
        self.report = take
        take({"run": RUN, "status": {"state": "running", "attempt": 1, "worker": "w"}})
        take({"workers": 1, "begun": True})
        return self.events


@pytest.mark.parametrize("heard", [True, False])
def test_what_was_reported_before_the_end_is_heard_before_that_is_told(heard: bool) -> None:
    desk = ReportingDesk(ended(result=travelling(pickle.dumps(7))))
    spec = Spec(id=RUN, workflow="relax", parameters={}, program="", started_by="me")
    shown: list[Update] = []
    began = threading.Event()

    def show(update: Update) -> None:
        shown.append(update)
        began.set()

    tasks = RunTasks()
    got: Future[Any] = Future()
    threading.Thread(target=lambda: got.set_result(attach(desk, spec, "/f", tasks, show)), daemon=True).start()
    assert began.wait(LIMIT)
    desk.tell()
    if heard:
        desk.report({"run": RUN, "report": {"key": RUN, "done": 3.0, "total": 3.0, "text": ""}})
        desk.report({"run": RUN, "report": {"key": "part", "label": "part 1", "name": "part", "state": "finished"}})
        desk.report({"run": RUN, "status": {"state": "finished", "attempt": 1, "worker": "w"}})
    else:
        desk.events.set_exception(SessionStoppedError("it is gone"))
    assert got.result(LIMIT).result == 7
    assert shown[-1].state == "finished"
    assert (shown[-1].done, len(tasks.take_endings())) == ((3.0, 1) if heard else (0.0, 0))
    assert desk.events.done()  # nobody listens any more


def test_what_the_tasks_of_a_dead_attempt_told_does_not_count() -> None:
    desk = ReportingDesk()
    watch = DeskWatch(desk, [RUN])
    watch.listen()
    for attempt in (1, 2):
        desk.report({"run": RUN, "status": {"state": "running", "attempt": attempt, "worker": "w"}})
        desk.report({"run": RUN, "report": {"run": RUN, "added": {"part": 3}}})
        desk.report({"run": RUN, "report": {"key": f"part-{attempt}", "name": "part", "state": "running"}})
        assert watch.tasks(RUN).counts() == {"part": Counts(started=3, running=1)}
    desk.report({"run": RUN, "status": {"state": "interrupted", "attempt": 2, "worker": "w"}})
    assert watch.tasks(RUN).counts() == {}
    assert watch.tasks(RUN).running() == []


def test_what_is_told_once_more_by_a_desk_that_came_back_counts_once() -> None:
    desk = ReportingDesk()
    watch = DeskWatch(desk, [RUN])
    for _ in range(2):
        watch.listen()
        desk.report({"run": RUN, "report": {"run": RUN, "added": {"part": 3}}})
        assert watch.tasks(RUN).counts() == {"part": Counts(started=3)}
        desk.following.set_exception(SessionStoppedError("it is gone"))
        desk.events = Future()
        desk.successor = desk = ReportingDesk()
