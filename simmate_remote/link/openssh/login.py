"""One login by the ``ssh`` program, from its start until it serves as a master."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from simmate_remote.link import failures
from simmate_remote.link.base import Ask
from simmate_remote.link.hop import Hop
from simmate_remote.link.known_hosts import KnownHosts, prepare_to_append
from simmate_remote.link.openssh.asking import Asker
from simmate_remote.link.openssh.command import master_command
from simmate_remote.link.openssh.endings import explain
from simmate_remote.link.openssh.trace import Trace
from simmate_remote.link.patience import Patience
from simmate_remote.link.questions import Questions

_UNANSWERED = 1.0  # seconds that an impatient destination gives a connection; then it is better to knock again
_LAST_WORDS = 0.5  # seconds for what ssh and its proxies still print after their end


class Login:
    """Runs the program until it has logged in.

    Args:
        way: The machines to log in to one after another.
        folder: For sockets.
        ask: Answers questions.
    """

    def __init__(self, way: Sequence[Hop], folder: Path, ask: Ask | None) -> None:
        self._way = way
        self._ask = ask
        self.control = folder / "m"
        self.trace = Trace(len(way))
        batch = way[-1].settings.flag("batchmode", default=False)
        self._patience = Patience(way[-1].patience)
        self._questions = Questions(ask, self._patience, batch=batch)
        self._asker = Asker(folder, self._questions, self.trace.told, self._describe_key)
        self._signing = contextlib.ExitStack()
        self._known: list[KnownHosts] = []

    async def run(self) -> None:
        """Log in; afterwards the master runs on by itself, for as long as somebody is connected to it.

        Raises:
            LinkError: Any of its subclasses; each says what to do, and nothing is left running.
        """
        self._known = [await asyncio.to_thread(_read_known_hosts, hop) for hop in self._way]
        try:
            environment = os.environ | await self._asker.start()
        except OSError as error:
            raise failures.cannot_follow(self._way[-1], error) from error
        try:
            status = await self._run(environment)
            if status != 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORDS):
                        await self.trace.ended.wait()
                raise explain(
                    self._way,
                    self._known,
                    self.trace,
                    self._questions,
                    can_ask=self._ask is not None,
                    key_declined=self._asker.host_key_declined,
                )
        except BaseException:
            await self.trace.close()
            raise

    async def _run(self, environment: dict[str, str]) -> int | None:
        # Before it starts: on a busy machine it says what it does sooner than this side has noted that it runs.
        self.trace.stepped = self._stepped
        self.trace.dialling = self._dialling
        self.trace.signing = lambda: self._signing.enter_context(self._questions.waiting())
        process = await self._start(environment)
        try:
            async with self._patience:
                status = await self._watch(process)
        except TimeoutError as error:
            if not self._patience.expired:
                raise
            raise failures.timed_out(self._way[self.trace.number - 1], self._patience.step) from error
        finally:
            self.trace.stepped = lambda _: None
            self._signing.close()
            if process.returncode != 0:
                # The whole group: a ProxyCommand would outlive it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await self._asker.stop()
        if self._questions.error is not None:
            raise self._questions.error
        return status

    async def _start(self, environment: dict[str, str]) -> asyncio.subprocess.Process:
        command = master_command(self._way, self.control, can_ask=self._ask is not None)
        reading, writing = os.pipe()
        # Not a pipe of the process object's: the master goes on using it when the process that was started has ended.
        await asyncio.get_running_loop().connect_read_pipe(lambda: self.trace, os.fdopen(reading, "rb", 0))
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=writing,
                env=environment,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(writing)

    async def _watch(self, process: asyncio.subprocess.Process) -> int | None:
        """Wait until the program has logged in (0), has failed, or has no answer to hope for (None)."""
        ending = asyncio.create_task(process.wait())
        giving_up = asyncio.create_task(self._asker.given_up.wait())
        try:
            await asyncio.wait({ending, giving_up}, return_when=asyncio.FIRST_COMPLETED)
            return ending.result() if ending.done() else None
        finally:
            ending.cancel()
            giving_up.cancel()

    def _stepped(self, step: str) -> None:
        self._signing.close()
        self._patience.begin(step)

    def _dialling(self) -> None:
        if self._way[0].destination.impatient:
            self._patience.begin(failures.CONNECTING, _UNANSWERED)

    def _describe_key(self, words: str) -> str:
        hop = self._way[self.trace.number - 1]
        return "\n".join([f"{hop.name} shows a key that is not known yet:", self.trace.now.key, words])


def _read_known_hosts(hop: Hop) -> KnownHosts:
    settings = hop.settings
    try:
        files = settings.path_list("userknownhostsfile")
        known = KnownHosts.read(hop.known_as, [*files, *settings.path_list("globalknownhostsfile")])
        if files and not known.keys:
            prepare_to_append(files[0])
    except (OSError, ValueError) as error:
        raise failures.cannot_follow(hop, error) from error
    return known
