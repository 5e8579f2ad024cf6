"""The user's process, as the harness sees it: started, ordered about, stopped, killed."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simmate_remote import Host

CHECKOUT = Path(__file__).parents[1]
LEAVING = 15.0


class UserProcess:
    """A process that connects to a host and lets work flow.

    Args:
        host: Where to.
        environment: Its environment variables.
        log: Where its stderr goes.
        blob: Bytes of each of the results that a round's gather fetches.
    """

    def __init__(self, host: Host, environment: Mapping[str, str], log: Path, blob: int) -> None:
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faults.user"],
                cwd=CHECKOUT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.pid = self._process.pid
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._send({"host": host.model_dump(mode="json"), "blob": blob})

    def answer(self, seconds: float) -> dict[str, Any]:
        """Wait for its next answer.

        Raises:
            RuntimeError: It failed, ended or was silent; with its own words.
        """
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            self._process.send_signal(signal.SIGUSR1)  # its threads' stacks go to its log
            raise RuntimeError(f"the user's process did not answer within {seconds:.0f} s") from None
        if answer is None:
            raise RuntimeError("the user's process ended")
        if "failed" in answer:
            raise RuntimeError(f"the user's process met {answer['failed']}: {answer['what']}")
        return answer

    def order(self, what: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """Order something, and wait until it is done.

        Raises:
            RuntimeError: As :meth:`answer`.
        """
        self._send({"do": what, "with": arguments})
        return self.answer(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """End it, whatever it is doing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()
        self._reading.join(LEAVING)
        self._process.stdin.close()
        self._process.stdout.close()

    def _send(self, words: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is told by the next answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)
