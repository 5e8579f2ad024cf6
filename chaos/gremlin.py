"""Who breaks things: at random, all the time, and always the same for the same seed."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from chaos.plan import Plan
from chaos.stage import Stage


class Gremlin:
    """Breaks one thing after another.

    Args:
        stage: Where.
        plan: How often.

    Attributes:
        done: How often each thing was broken.
    """

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self.done: Counter[str] = Counter()
        self._stage = stage
        self._plan = plan
        self._draw = random.Random(plan.seed + 1)
        self._bag: list[str] = []
        self._bags = 0
        self._faults: dict[str, tuple[int, Callable[[], None]]] = {
            "link cut": (6, stage.box.cut),
            "worker": (4, lambda: self._kill_there("worker")),
            "session": (3, stage.kill_sessions),
            "database": (3, lambda: stage.kill_database(with_supervisor=self._draw.random() < 0.5)),
            "scheduler": (2, lambda: self._kill_there("scheduler")),
            "keeper": (1, lambda: self._kill_there("keeper")),
            "user's program": (2, stage.kill_submitter),
        }

    def act(self) -> None:
        """Wait a little, and break something."""
        time.sleep(self._draw.expovariate(1 / self._plan.pause))
        if not self._bag:
            # Each as often as is its due, in any order: none is left out by chance.
            self._bag = [name for name, (times, _) in self._faults.items() for _ in range(times)]
            if self._plan.each_once:
                self._bag = list(self._faults)
            self._draw.shuffle(self._bag)
            self._bags += 1
        name = self._bag.pop()
        self._break(name, self._faults[name][1])

    @property
    def has_more(self) -> bool:
        """Whether something was not broken yet that shall be."""
        return self._bags < 1 or (self._bags == 1 and bool(self._bag))

    def cut_network(self) -> None:
        """Let nothing through for a while."""
        if self._stage.box.name == "lab":
            with self._stage.lab.network.down():
                time.sleep(self._plan.cut)
            self.done["network down"] += 1

    def reboot(self) -> None:
        """Kill everything here."""
        self._break("laptop rebooted", self._stage.reboot)

    def _break(self, name: str, fault: Callable[[], None]) -> None:
        with suppress(ProcessLookupError):
            fault()
            self.done[name] += 1

    def _kill_there(self, name: str) -> None:
        found = sorted(pid for each, pid in self._stage.processes_there() if each.startswith(name))
        if not found:
            raise ProcessLookupError
        self._stage.box.kill(self._draw.choice(found), signal.SIGKILL)
