"""One round of the workload: everything that is in flight when a fault comes, and what became of it."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future

from faults import host_side
from faults.host_side import TASKS
from faults.traffic import bytes_received

FLOWING = 10
BLOBS = range(1, 9)
"""The seeds of the results that the gather fetches."""

PACE = 0.005
FAILED = ("error", "cancelled")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
TASK_NAME = re.compile(r"\b(counted|blob|digest)-[0-9a-f-]+")


@dataclass(frozen=True)
class Load:
    """How much a round moves.

    Args:
        number: Of the round; makes its names and its bytes unlike any other's.
        task_seconds: How long each of the tasks takes.
        down: Bytes of each of the results that one ``gather`` brings here, eight of them.
        up: Bytes that one ``scatter`` takes there.
    """

    number: int
    task_seconds: float
    down: int
    up: int


class Transfer:
    """A call that blocks, in a thread of its own.

    Args:
        work: The call.

    Attributes:
        error: What it raised, if it did.
        ended_at: Monotonic time of its end.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self.ended_at: float | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever the user would see is the outcome
            self.error = error
        self.ended_at = time.monotonic()

    def wait(self, deadline: float) -> bool:
        """Wait for its end, and say whether it came."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()


class Round:
    """Tasks, a gather and a scatter, all at the same time.

    Args:
        client: A client of the cluster.
        blobs: Results on the host that the gather fetches.
        load: How much.
    """

    def __init__(self, client: Client, blobs: Sequence[Future], load: Load) -> None:
        self.wrong = 0
        self._client = client
        self._load = load
        self._folder = f"~/simmate-remote/faults/{load.number}"
        self._ended: dict[str, float] = {}
        self._before = bytes_received()
        self._numbers = range(load.number * TASKS, (load.number + 1) * TASKS)
        client.run_on_scheduler(host_side.prepare, self._folder)
        self.keys = [f"counted-{number}" for number in self._numbers]
        self._futures = client.map(
            host_side.counted, [self._folder] * TASKS, self._numbers, seconds=load.task_seconds, key=self.keys
        )
        for future in self._futures:
            future.add_done_callback(self._note_end)
        self._transfers = [Transfer(lambda: self._gather(blobs)), Transfer(self._scatter)]

    def wait_flowing(self, seconds: float) -> None:
        """Wait until some tasks have ended, most have not, and half of what the gather fetches is here.

        Raises:
            RuntimeError: It did not come to that.
        """
        deadline = time.monotonic() + seconds
        half = len(BLOBS) * self._load.down // 2
        while len(self._ended) < FLOWING or bytes_received() - self._before < half:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the round did not get going: {len(self._ended)} tasks ended in {seconds:.0f} s")
            time.sleep(PACE)

    def outcome(self, seconds: float) -> dict[str, Any]:
        """Wait for the end of everything, and say what became of it.

        Args:
            seconds: Time limit.
        """
        deadline = time.monotonic() + seconds
        waited = [transfer.wait(deadline) for transfer in self._transfers]
        while (open_still := self._open_still()) and time.monotonic() < deadline:
            time.sleep(PACE)
        pending = waited.count(False) + open_still
        errors = [(transfer.error, transfer.ended_at) for transfer in self._transfers if transfer.error is not None]
        failed = [future for future in self._futures if future.status in FAILED]
        errors += [(_exception_of(future), self._ended.get(future.key)) for future in failed]
        finished = [future for future in self._futures if future.status == "finished"]
        if finished:
            try:
                self._check(self._client.gather(finished), [self._number_of(future) for future in finished])
            except (Exception, CancelledError) as error:  # noqa: BLE001 - as above
                errors.append((error, time.monotonic()))
        return {
            "pending": pending,
            "cancelled": sum(isinstance(error, CancelledError) for error, _ in errors),
            "wrong": self.wrong,
            "errors": Counter(_in_words(error) for error, _ in errors),
            "error_times": sorted(at for _, at in errors if at is not None),
            "again": self._count_again(),
        }

    def forget(self) -> None:
        """Let go of the results."""
        self._futures.clear()

    def _count_again(self) -> int | None:
        """Count the starts of tasks that had started before; None if the host cannot be asked any more."""
        try:
            counts = Counter(self._client.run_on_scheduler(host_side.starts, self._folder))
        except (Exception, CancelledError):  # noqa: BLE001 - the scheduler may be gone in any way
            return None
        if missing := set(self._numbers) - set(counts):
            self.wrong += len(missing)
        return counts.total() - len(counts)

    def _number_of(self, future: Future) -> int:
        return int(future.key.partition("-")[2])

    def _note_end(self, future: Future) -> None:
        self._ended[future.key] = time.monotonic()

    def _open_still(self) -> int:
        # A result that was lost is computed again: what has ended once may be open again.
        return sum(future.status not in (*FAILED, "finished") for future in self._futures)

    def _gather(self, blobs: Sequence[Future]) -> None:
        for found, seed in zip(self._client.gather(list(blobs)), BLOBS, strict=True):
            if host_side.digest(found) != host_side.digest(host_side.payload(seed, len(found))):
                self.wrong += _differences(found, host_side.payload(seed, len(found)))

    def _scatter(self) -> None:
        data = host_side.payload(-self._load.number, self._load.up)
        there = self._client.scatter(data, direct=False, hash=False)
        found = self._client.submit(host_side.digest, there, pure=False).result()
        if found != host_side.digest(data):
            self.wrong += 1

    def _check(self, results: list[bytes], numbers: list[int]) -> None:
        for found, number in zip(results, numbers, strict=True):
            self.wrong += _differences(found, host_side.payload(number, host_side.PAYLOAD))


def _differences(found: bytes, expected: bytes) -> int:
    return abs(len(found) - len(expected)) + sum(one != other for one, other in zip(found, expected, strict=False))


def _exception_of(future: Future) -> BaseException:
    # Not future.exception(), which is silent about what was cancelled.
    error = future._state.exception  # noqa: SLF001
    return error if isinstance(error, BaseException) else RuntimeError(str(error))


def _in_words(error: BaseException | None) -> str:
    """Say what was raised; without names of tasks and numbers of ports, so that equal ends read alike."""
    what = getattr(error, "what", None) or (str(error).splitlines() or [""])[0]
    what = re.sub(r"127.0.0.1:\d+", "127.0.0.1:…", TASK_NAME.sub(r"\1-…", what))
    return f"{type(error).__name__}: {TIME.sub('…', what)}"
