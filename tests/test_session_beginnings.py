"""How sessions begin, beside others that do, and where they cannot."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from pathlib import Path

import pytest

from simmate_remote.errors import SessionError
from simmate_remote.session.client import find_all, find_or_start
from simmate_remote.session.join import join
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.paths import log_path, socket_path
from simmate_remote.session.starting import start_session
from tests.boxes import Box
from tests.hosts import end_session, host_of

pytestmark = pytest.mark.parametrize("box", ["embedded"], indirect=True)


def test_a_session_that_cannot_begin_is_told_at_once_with_its_own_words(box: Box) -> None:
    host = host_of(box)
    socket_path(host).with_suffix(".lock").mkdir()
    with pytest.raises(SessionError, match="died before it had begun") as told:
        asyncio.run(find_or_start(host))
    assert "IsADirectoryError" in str(told.value)


def test_two_that_connect_at_once_share_one_session_and_its_log_is_whole(box: Box) -> None:
    host = host_of(box)

    async def both() -> list[bool]:
        clients = await asyncio.gather(*(join(host, lasting=True) for _ in range(2)))
        for each in clients:
            each.close()
            await each.wait_closed()
        return [each.started for each in clients]

    assert sorted(asyncio.run(both())) == [False, True]
    log = log_path(socket_path(host))
    before = log.read_text()
    assert "logging in" in before
    # A third that is too late to be the one.
    assert start_session(socket_path(host), SessionOrder.of(host, "another")) == b"there\n"
    assert log.read_text().startswith(before)
    end_session(host)


def test_the_socket_of_a_session_that_is_about_to_listen_is_not_taken_for_a_dead_one(box: Box) -> None:
    path = socket_path(host_of(box))
    with path.with_suffix(".lock").open("w") as lock, socket.socket(socket.AF_UNIX) as binding:
        fcntl.flock(lock, fcntl.LOCK_EX)
        binding.bind(str(path))
        assert asyncio.run(find_all()) == []
        assert path.exists()
    assert asyncio.run(find_all()) == []
    assert not path.exists()


@pytest.mark.slow
def test_a_session_whose_sockets_were_removed_ends_as_any_other(box: Box) -> None:
    host = host_of(box)

    async def leave_without_sockets() -> bool:
        session = await join(host, lasting=False)
        await session.open_errand("simmate_remote.files.host.receiver", socket_path(host).with_suffix(".errand"))
        for path in socket_path(host).parent.glob("*.*"):
            if not path.name.endswith(".lock"):
                path.unlink()
        watching = asyncio.create_task(session.wait_stopped())
        ended = await session.stop(end_everything=True)
        assert (await watching).what == "the session was stopped"
        session.close()
        return ended

    assert asyncio.run(leave_without_sockets())


def sockets(path: Path) -> int:
    return sum(line.endswith(str(path)) for line in Path("/proc/net/unix").read_text().splitlines())


def test_two_that_want_the_same_errand_at_once_share_one_socket(box: Box) -> None:
    host = host_of(box)
    path, module = socket_path(host).with_suffix(".errand"), "simmate_remote.files.host.receiver"

    async def both() -> int:
        session = await join(host, lasting=False)
        await asyncio.gather(*(session.open_errand(module, path) for _ in range(10)))
        listening = sockets(path)
        await session.stop(end_everything=True)
        session.close()
        return listening

    assert asyncio.run(both()) == 1


def test_a_session_that_does_not_answer_is_called_by_its_whole_name(box: Box) -> None:
    host = host_of(box, name="gr\u00f6\u00dfter-rechner-im-ganzen-institut")

    async def name_without_asking() -> str:
        session = await join(host, lasting=False)
        (found,) = await find_all()
        found.close()
        await session.stop(end_everything=True)
        session.close()
        return found.host

    assert asyncio.run(name_without_asking()) == host.name
