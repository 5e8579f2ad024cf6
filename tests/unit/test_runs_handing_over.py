"""Handing runs over: where not all are taken, it is told which were, and which may have been."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from simmate_remote.cli.run import what_was_taken_is_told
from simmate_remote.errors import FolderFullError, KeeperError, RunDamagedError, SimmateRemoteError
from simmate_remote.inventory import Host
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.identity import new_id
from simmate_remote.session.background import background
from simmate_remote.session.desk import Desk
from simmate_remote.session.handing_over import LINE, HandingOver
from simmate_remote.streams.calls import Caller

FULL = FolderFullError("there is no space", folder="/runs", meanwhile="nothing was taken in; runs that are there go on")


class PlayedDesk(Caller):
    """A desk that takes so many calls, and then fails, or is gone.

    Args:
        takes: How many calls of ``create`` it takes.
        then: What it answers to the next one; None: it has taken that, too, and its answer is lost.
    """

    def __init__(self, takes: int = 100, then: SimmateRemoteError | None = None) -> None:
        super().__init__({"create": self.create, "put": self.put})
        self.takes = takes
        self.then = then
        self.taken: list[list[str]] = []
        self.asked: list[list[str]] = []
        self.blobs: dict[str, bytes] = {}
        self.dies_at_put = False
        self.at_last: Callable[[], None] | None = None
        self.may_answer = asyncio.Event()

    async def create(self, runs: list[dict[str, Any]], blobs: list[str]) -> dict[str, Any]:
        self.asked.append(blobs)
        if missing := [each for each in blobs if each not in self.blobs]:
            return {"missing": missing, "folders": {}}
        if len(self.taken) >= self.takes and self.then is not None:
            raise self.then
        self.taken.append([each["id"] for each in runs])
        if len(self.taken) > self.takes:
            if self.at_last is None:
                self.close()
            else:
                self.at_last()
            await self.may_answer.wait()
        return {"missing": [], "folders": {each["id"]: f"/runs/{each['id']}" for each in runs}}

    async def put(self, digest: str, offset: int, data: str, size: int) -> None:
        if self.dies_at_put:
            self.close()
            await asyncio.Event().wait()
        self.blobs[digest] = self.blobs.get(digest, b"") + base64.b64decode(data)
        assert offset + len(base64.b64decode(data)) <= size


@contextlib.asynccontextmanager
async def connected(desk: PlayedDesk) -> AsyncIterator[Caller]:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: desk, sock=theirs)
    _, caller = await loop.create_unix_connection(Caller, sock=ours)
    yield caller
    for each in (caller, desk):
        each.close()
        await each.closed.wait()


def handing_over(caller: Caller, specs: list[Spec], blobs: dict[str, bytes] | None = None) -> HandingOver:
    return HandingOver(
        "lab", lambda name, arguments: caller.call(name, **arguments), caller.closed.is_set, specs, blobs or {}
    )


def specs_of(number: int, size: int = LINE // 4, **about: Any) -> list[Spec]:
    """Give some of which three go with one call."""
    return [Spec(new_id(), "relax", payload={"parameters": "x" * size}, **about) for _ in range(number)]


async def test_runs_that_were_taken_before_the_disk_was_full_are_told() -> None:
    desk, specs = PlayedDesk(takes=2, then=FULL), specs_of(8)
    async with connected(desk) as caller:
        with pytest.raises(FolderFullError, match="there is no space") as error:
            await handing_over(caller, specs).folders()
    taken = [each for batch in desk.taken for each in batch]
    assert taken == [each.id for each in specs[:6]]
    assert error.value.meanwhile == (
        f"6 of 8 runs were taken in and go on, from {taken[0]} to {taken[-1]}; the last 2 were not taken in"
    )
    assert error.value.remedies[0].command == "simmate-remote runs list --on lab"
    assert error.value.folder == "/runs"


async def test_where_nothing_was_taken_the_desk_s_own_words_stand() -> None:
    async with connected(PlayedDesk(takes=0, then=FULL)) as caller:
        with pytest.raises(FolderFullError) as error:
            await handing_over(caller, specs_of(8)).folders()
    assert error.value.meanwhile == FULL.meanwhile


async def test_one_that_is_refused_is_told_beside_those_before_it() -> None:
    desk = PlayedDesk(takes=1, then=RunDamagedError("there is another run", meanwhile="it was left as it is"))
    async with connected(desk) as caller:
        with pytest.raises(RunDamagedError, match=r"3 of 4 runs were taken in and go on, .* the last one was not"):
            await handing_over(caller, specs_of(4)).folders()


async def test_runs_whose_call_was_not_answered_may_have_been_taken() -> None:
    desk, specs = PlayedDesk(takes=1), specs_of(8)
    async with connected(desk) as caller:
        with pytest.raises(KeeperError) as error:
            await handing_over(caller, specs).folders()
    said = str(error.value.meanwhile)
    assert said.startswith(
        f"3 of 8 runs were taken in and go on, from {specs[0].id} to {specs[2].id}; 3 more may have been taken in, "
        f"from {specs[3].id} to {specs[5].id}: the answer did not come; the last 2 were not taken in"
    )
    commands = [each.command for each in error.value.remedies]
    assert commands[:2] == ["simmate-remote connect lab", "simmate-remote runs list --on lab"]


async def test_a_single_run_whose_call_was_not_answered_is_named() -> None:
    (spec,) = specs_of(1, 1)
    async with connected(PlayedDesk(takes=0)) as caller:
        with pytest.raises(KeeperError, match=f"the run may have been taken in, as {spec.id}: the answer did not come"):
            await handing_over(caller, [spec]).folders()


async def test_what_was_not_sent_was_not_taken() -> None:
    """Code that was on its way when the connection ended, and a connection that had ended before."""
    code = b"code"
    digest = hashlib.sha256(code).hexdigest()
    desk = PlayedDesk()
    desk.dies_at_put = True
    async with connected(desk) as caller:
        for _ in range(2):
            with pytest.raises(KeeperError) as error:
                await handing_over(caller, specs_of(1, 1, code=digest), {digest: code}).folders()
            assert "taken in" not in str(error.value)


async def test_a_digest_is_asked_for_once_with_the_runs_that_need_it() -> None:
    blobs = {hashlib.sha256(each).hexdigest(): each for each in (b"code", b"large 1", b"large 2")}
    code, *large = blobs
    first, second = specs_of(2, code=code)
    other = Spec(new_id(), "relax", payload={"parameters_blob": large[0], "further": "x" * LINE}, code=code)
    last = Spec(new_id(), "relax", payload={"parameters_blob": large[1], "further": "x" * LINE}, code=code)
    known = Spec(new_id(), "relax", payload={"further": "x" * LINE}, code="c" * 64)  # the host has that already
    desk = PlayedDesk()
    async with connected(desk) as caller:
        folders = await handing_over(caller, [first, second, other, last, known], blobs).folders()
    assert list(folders) == [each.id for each in (first, second, other, last, known)]
    assert [each for each in desk.asked if each] == [[code], [large[0]], [large[1]]]
    assert desk.blobs == blobs


def interrupted(desk: PlayedDesk, specs: list[Spec]) -> str:
    """Let Ctrl-C come while the desk has the last batch that it takes, and give what is said then."""
    main = threading.main_thread().ident
    assert main is not None
    desk.at_last = lambda: signal.pthread_kill(main, signal.SIGINT)
    ours = Desk(Host(name="lab", ssh="lab"))

    async def open_() -> contextlib.AsyncExitStack:
        stack = contextlib.AsyncExitStack()
        ours._caller = await stack.enter_async_context(connected(desk))
        ours._lasts = True
        return stack

    stack = background.do(open_())
    try:
        with pytest.raises(KeyboardInterrupt) as error:
            ours.create(specs, {})
    finally:
        background.do(stack.aclose())
    return str(error.value)


def test_ctrl_c_hands_nothing_more_over_and_tells_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, specs = PlayedDesk(takes=1), specs_of(8)
    stop = HandingOver.stop

    async def answer() -> None:
        desk.may_answer.set()

    def stop_and_answer(self: HandingOver) -> None:
        stop(self)
        background.begin(answer())

    monkeypatch.setattr(HandingOver, "stop", stop_and_answer)
    said = interrupted(desk, specs)
    assert f"6 of 8 runs were taken in and go on, from {specs[0].id} to {specs[5].id}; the last 2 were not" in said
    assert "simmate-remote runs list --on lab " in said
    assert "simmate-remote runs cancel RUN..." in said
    assert len(desk.taken) == 2


def test_ctrl_c_tells_what_may_have_been_taken_where_no_answer_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simmate_remote.session.desk.PATIENCE_FOR_ANSWER", 0.2)
    specs = specs_of(1, 1)
    said = interrupted(PlayedDesk(takes=0), specs)
    assert f"the run may have been taken in, as {specs[0].id}: the answer did not come" in said
    assert f"simmate-remote runs cancel {specs[0].id}" in said


def test_a_command_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), what_was_taken_is_told():
        raise KeyboardInterrupt("6 of 8 runs were taken in")
    assert capsys.readouterr().err == "6 of 8 runs were taken in\n"
