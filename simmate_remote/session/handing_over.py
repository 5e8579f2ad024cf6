"""Handing runs over to a host's desk, in as many calls as it takes; where one fails, it is told what was taken."""

from __future__ import annotations

import base64
import json
import shlex
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from simmate_remote.errors import Remedy, SimmateRemoteError, error_from_dict, error_to_dict
from simmate_remote.runs.host.spec import Spec

PART = 1024 * 1024
"""Bytes of what is large that travel at once."""

LINE = 2 * PART
"""Bytes of specifications that travel at once."""

NAMED = 3
"""Runs that are named one by one in a command."""


class HandingOver:
    """One submission; each call that is answered is taken, whatever becomes of those after it.

    Args:
        host: What the user calls the host.
        call: Asks the desk something.
        gone: Says whether the connection to the desk has ended.
        specs: What the runs are.
        blobs: What they share, by digest.

    Attributes:
        over: Set when it is; for other threads.
    """

    def __init__(
        self,
        host: str,
        call: Callable[[str, dict[str, Any]], Awaitable[Any]],
        gone: Callable[[], bool],
        specs: Iterable[Spec],
        blobs: Mapping[str, bytes],
    ) -> None:
        self._host = host
        self._call = call
        self._gone = gone
        self._specs = list(specs)
        self._blobs = blobs
        self._there: set[str] = set()
        self._folders: dict[str, str] = {}
        self._unanswered: list[str] = []
        self._stopped = False
        self.over = threading.Event()

    async def folders(self) -> dict[str, str]:
        """Hand all over, and give their folders on the host, by id; after :meth:`stop`, of those that were taken.

        Raises:
            SimmateRemoteError: Not all were taken; its ``meanwhile`` says which were, and which may have been.
        """
        try:
            for batch in self._batches():
                if self._stopped:
                    break
                await self._take(batch)
        except SimmateRemoteError as error:
            maybe = self._unanswered if self._gone() else []
            if not self._folders and not maybe:
                raise
            raise self._with_what_was_taken(error, maybe) from error
        finally:
            self.over.set()
        return self._folders

    def stop(self) -> None:
        """Hand nothing more over; another thread may say so."""
        self._stopped = True

    def taken_in_words(self) -> str:
        """Say of a submission that was stopped which runs there are all the same; empty: there are none."""
        if not self._folders and not self._unanswered:
            return ""
        ids = [*self._folders, *self._unanswered]
        named = " ".join(ids) if len(ids) <= NAMED else "RUN..."
        remedies = [
            Remedy(f"simmate-remote runs list --on {shlex.quote(self._host)}", "shows them"),
            Remedy(f"simmate-remote runs cancel {named}", "ends them"),
        ]
        return str(
            SimmateRemoteError(
                "the submission was interrupted",
                host=self._host,
                meanwhile="; ".join(self._words(self._unanswered)),
                remedies=tuple(remedies),
            )
        )

    def _batches(self) -> Iterator[list[Spec]]:
        """Yield those that fit into one call."""
        batch: list[Spec] = []
        size = 0
        for spec in self._specs:
            length = len(json.dumps(spec.as_dict()))
            if batch and size + length > LINE:
                yield batch
                batch, size = [], 0
            batch.append(spec)
            size += length
        yield batch

    async def _take(self, batch: list[Spec]) -> None:
        """Hand over what fits into one call, and before it what that needs, if the host lacks it."""
        wanted = set().union(*(spec.blobs() for spec in batch))
        unknown = sorted((wanted & self._blobs.keys()) - self._there)
        missing = await self._create(batch, unknown)
        if missing:
            for digest in missing:
                await self._put(digest, self._blobs[digest])
            if self._stopped:
                return
            await self._create(batch, [])
        self._there.update(unknown)

    async def _create(self, batch: list[Spec], digests: list[str]) -> list[str]:
        """Have them taken in, unless what they need is missing: then give that."""
        self._unanswered = [] if self._gone() else [spec.id for spec in batch]
        answer = await self._call("create", {"runs": [spec.as_dict() for spec in batch], "blobs": digests})
        self._unanswered = []
        self._folders |= answer["folders"]
        missing: list[str] = answer["missing"]
        return missing

    async def _put(self, digest: str, content: bytes) -> None:
        for offset in range(0, len(content), PART):
            if self._stopped:
                return
            data = base64.b64encode(content[offset : offset + PART]).decode()
            await self._call("put", {"digest": digest, "offset": offset, "data": data, "size": len(content)})

    def _with_what_was_taken(self, error: SimmateRemoteError, maybe: list[str]) -> SimmateRemoteError:
        """Say of what went wrong which runs there are in spite of it: else they would be submitted a second time."""
        words = self._words(maybe)
        if self._gone() and error.meanwhile:
            words.append(error.meanwhile)
        name = shlex.quote(self._host)
        remedies = [Remedy(f"simmate-remote runs list --on {name}", "shows those that were taken in")]
        if self._gone():
            remedies.insert(0, Remedy(f"simmate-remote connect {name}", "learns which were taken in"))
        commands = {each.command for each in remedies}
        remedies += [each for each in error.remedies if each.command not in commands]
        return error_from_dict(
            {
                **error_to_dict(error),
                "meanwhile": "; ".join(words),
                "remedies": [each._asdict() for each in remedies],
            }
        )

    def _words(self, maybe: list[str]) -> list[str]:
        """Say which were taken in, which may have been, and how many were not."""
        taken, total = list(self._folders), len(self._specs)
        rest = total - len(taken) - len(maybe)
        words = []
        if taken and total == 1:
            words.append(f"the run was taken in and goes on, {_from_to(taken)}")
        elif taken:
            words.append(f"{len(taken):,} of {total:,} runs were taken in and go on, {_from_to(taken)}")
        if maybe:
            many = f"{len(maybe):,} more" if taken else f"{len(maybe):,} of {total:,} runs" if total > 1 else "the run"
            words.append(f"{many} may have been taken in, {_from_to(maybe)}: the answer did not come")
        if rest:
            words.append(f"the last {rest:,} were not taken in" if rest > 1 else "the last one was not taken in")
        return words


def _from_to(ids: list[str]) -> str:
    return f"from {ids[0]} to {ids[-1]}" if len(ids) > 1 else f"as {ids[0]}"
