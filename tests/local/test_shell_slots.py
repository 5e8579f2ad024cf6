"""Slots: shared by threads and processes, given back by whoever dies, and waited for without polling."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simmate_remote.errors import TaskCancelledError, TaskDeclarationError, TaskError, UnsatisfiableError
from simmate_remote.workflows.shell import slots as slots_module
from simmate_remote.workflows.shell.capacity import Capacity, capacity
from simmate_remote.workflows.shell.resources import Resources
from simmate_remote.workflows.shell.slots import Slots
from tests.shell_tasks import wait_until

HAS = Capacity(cores=(0, 1, 2, 3), gpus=("0", "GPU-7"), memory=1000)

HOLD = """
import sys, time
from pathlib import Path
from simmate_remote.workflows.shell.capacity import Capacity
from simmate_remote.workflows.shell.resources import Resources
from simmate_remote.workflows.shell.slots import Slots
with Slots(Path(sys.argv[1]), Capacity((0, 1, 2, 3), (), 1000)).take(Resources(cores=int(sys.argv[2]))):
    print("has them", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "slots", HAS)


def hold(folder: Path, cores: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(cores)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "has them\n"
    return process


def test_what_is_given_is_what_was_asked_for(slots: Slots) -> None:
    with slots.take(Resources(ranks=2, threads=1, gpus=1, memory=10)) as one:
        assert one.allotment.words() == {"cores": 2, "ranks": 2, "threads": 1, "gpus": 1, "memory": 10}
        assert one.allotment.environment()["CUDA_VISIBLE_DEVICES"] == "0"
        with slots.take(Resources(cores="all", gpus="all", shared=True)) as beside:
            assert beside.allotment.cores == ()
            assert beside.allotment.words()["cores"] == 4
            assert "CUDA_VISIBLE_DEVICES" not in beside.allotment.environment()
        with slots.take(Resources(cores=2, gpus=1)) as two:
            assert set(one.allotment.cores).isdisjoint(two.allotment.cores)
            assert two.allotment.threads == 2
            assert two.allotment.environment()["CUDA_VISIBLE_DEVICES"] == "GPU-7"
            assert two.allotment.environment()["OMP_NUM_THREADS"] == "2"


def test_nothing_is_left_in_the_folder(slots: Slots, tmp_path: Path) -> None:
    with slots.take(Resources()):
        pass
    assert sorted(path.name for path in (tmp_path / "slots").iterdir()) == ["line.json", "mutex"]
    assert (tmp_path / "slots" / "line.json").read_text() == "[]"
    assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o700


def test_those_who_wait_are_served_in_their_order_as_soon_as_there_is_room(slots: Slots) -> None:
    served: list[int] = []
    waits: list[float] = []

    def take(number: int, cores: int) -> None:
        with slots.take(Resources(cores=cores)):
            waits.append(time.monotonic())
            served.append(number)

    held = slots.take(Resources(cores=4))
    threads = []
    for number, cores in enumerate([3, 4, 1, 2]):
        threads.append(threading.Thread(target=take, args=(number, cores)))
        threads[-1].start()
        wait_until(lambda: len(list(slots._folder.glob("*.bell"))) == len(threads))
    freed = time.monotonic()
    with held:
        pass
    for thread in threads:
        thread.join(20)
    assert served[:2] == [0, 1]
    assert sorted(served) == [0, 1, 2, 3]
    assert max(waits) - freed < 0.9  # none has waited for a look


def test_eight_serial_ones_and_a_large_one_find_their_place(slots: Slots) -> None:
    used: list[tuple[int, ...]] = []
    most = threading.Semaphore(4)

    def take(cores: int) -> None:
        with slots.take(Resources(cores=cores)) as taken:
            for _ in taken.allotment.cores:
                assert most.acquire(blocking=False)
            time.sleep(0.02)
            used.append(taken.allotment.cores)
            most.release(cores)

    threads = [threading.Thread(target=take, args=(cores,)) for cores in [1] * 4 + [4] + [1] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(map(len, used)) == [1] * 8 + [4]


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_another_process_gives_them_back_whatever_ends_it(slots: Slots, tmp_path: Path, end: str) -> None:
    other = hold(tmp_path / "slots", 4)
    got = threading.Event()

    def take() -> None:
        with slots.take(Resources(cores=1)):
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not got.wait(0.3)
    if end == "kill":
        other.kill()
    other.communicate()
    assert got.wait(10)
    thread.join(10)


def test_who_was_killed_in_the_line_does_not_hold_up_the_others(slots: Slots, tmp_path: Path) -> None:
    held = slots.take(Resources(cores=4))
    script = HOLD.replace('print("has them"', 'print("never"')
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "slots"), "4"])
    wait_until(lambda: list((tmp_path / "slots").glob("*.bell")))
    got = threading.Event()

    def take() -> None:
        with slots.take(Resources(cores=1)):
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    wait_until(lambda: len(list((tmp_path / "slots").glob("*.bell"))) == 2)
    other.kill()
    other.wait()
    with held:
        pass
    assert got.wait(10)
    thread.join(10)


def test_waiting_can_be_cancelled(slots: Slots) -> None:
    cancelled = threading.Event()
    with slots.take(Resources(cores=4)):
        threading.Timer(0.2, cancelled.set).start()
        with pytest.raises(TaskCancelledError):
            slots.take(Resources(), cancelled)
    with slots.take(Resources(cores=4)):
        pass


def test_what_there_is_not_is_refused_with_the_numbers(slots: Slots) -> None:
    with pytest.raises(UnsatisfiableError, match="asks for 8 cores, and there are 4") as refused:
        slots.take(Resources(ranks=4, threads=2))
    assert (refused.value.host, refused.value.meanwhile) == (socket.gethostname(), "its program was not started")
    with pytest.raises(UnsatisfiableError, match="1024 GiB of memory, and there are 0 GiB"):
        slots.take(Resources(memory="1 TiB"))
    slots.check(Resources(cores=64, shared=True))


@pytest.mark.parametrize(
    "wishes",
    [
        {"cores": 0},
        {"cores": 1.5},
        {"cores": True},
        {"ranks": "all"},
        {"threads": "all"},
        {"gpus": -1},
        {"cores": 2, "ranks": 3},
        {"memory": -1},
        {"memory": "much"},
    ],
)
def test_wishes_that_make_no_sense(wishes: dict[str, object]) -> None:
    with pytest.raises(TaskDeclarationError):
        Resources(**wishes)  # type: ignore[arg-type]


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(TaskError, match="belongs to this user alone"):
        Slots(folder, HAS).take(Resources())


def test_a_line_that_a_stopped_process_holds_is_not_waited_for_for_ever(
    slots: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "_LOCK_LIMIT", 0.2)
    with slots.take(Resources()), open(tmp_path / "slots" / "mutex") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        with pytest.raises(TaskError, match=r"have been held for 0\.2 s by a process") as held:
            slots.take(Resources())
        fcntl.flock(mutex, fcntl.LOCK_UN)
    assert held.value.host == socket.gethostname()
    assert held.value.remedies


def test_a_line_that_lost_its_power_is_begun_again(slots: Slots, tmp_path: Path) -> None:
    with slots.take(Resources()):
        pass
    (tmp_path / "slots" / "line.json").write_text("")
    with slots.take(Resources(cores=4)) as taken:
        assert len(taken.allotment.cores) == 4


def test_what_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    found = capacity()
    assert len(found.cores) >= 1
    assert found.gpus == ("2", "5")
    assert found.memory > 2**28
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert capacity().gpus == ()
