"""What is said when a scheduler or a worker does not start on the host."""

from __future__ import annotations

from simmate_remote.errors import KeeperError, Remedy, SchedulerError, SimmateRemoteError, WorkersError


def did_not_start(
    host: str, kind: type[SchedulerError | WorkersError], name: str, error: KeeperError, log: str
) -> SimmateRemoteError:
    """Make the error.

    Args:
        host: What the user calls the host.
        kind: Of which class.
        name: What did not start.
        error: What its parent there says.
        log: The end of its log; empty if there is none.
    """
    return kind(
        f"{name} did not start: {error.what}",
        host=host,
        meanwhile="everything else there is being ended",
        remedies=(
            Remedy(f"simmate-remote hosts show {host}", "`workers:` says what they are given"),
            Remedy(f"simmate-remote connect {host}", "tries again"),
        ),
        detail=log or error.detail,
    )
