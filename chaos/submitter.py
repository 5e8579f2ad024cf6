"""The user's program: it submits the runs, a few at a time, and writes down which were taken. It may be killed.

``python -m chaos.submitter LOG SECONDS`` reads the jobs on stdin, and waits so long between batches; what LOG says was
taken is not submitted again.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from chaos.plan import Job
from chaos.work import witnessed
from simmate_remote.errors import SimmateRemoteError

AT_ONCE = 8
PAUSE = 0.5
HOST = "lab-box"


def main() -> None:
    """Submit all that was not taken yet."""
    log = Path(sys.argv[1])
    pause = float(sys.argv[2])
    jobs = [Job(**each) for each in json.load(sys.stdin)]
    pending = [job for job in jobs if job.number not in taken(log)]
    while pending:
        batch = pending[:AT_ONCE]
        try:
            handles = witnessed.map([job.parameters() for job in batch], on=HOST)
        except (SimmateRemoteError, OSError) as error:
            # It may have been taken all the same; then it runs twice, under two ids, and neither may be lost.
            print(f"not taken, or nobody knows: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            time.sleep(PAUSE)
            continue
        with log.open("a") as lines:
            for job, handle in zip(batch, handles, strict=True):
                lines.write(f"{job.number} {handle.id}\n")  # type: ignore[attr-defined]
        pending = pending[AT_ONCE:]
        time.sleep(pause)


def taken(log: Path) -> dict[int, str]:
    """Read which runs were taken, with their ids; a line that was cut short by a kill does not count."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return {int(line.split()[0]): line.split()[1] for line in lines if line.endswith("\n") and len(line.split()) == 2}


if __name__ == "__main__":
    main()
