"""The result of a run, as far as it is here."""

from __future__ import annotations

import json
import pickle
import reprlib
from collections.abc import Mapping
from typing import Any

LONGEST = 2000
"""Characters of a result that are shown."""


def result_in_words(run: Mapping[str, Any]) -> str | None:
    """Say what came out of a run; None: nothing.

    Args:
        run: What is known of it, as :func:`simmate_remote.runs.listing.read_run` gives it.
    """
    if run["state"] != "finished":
        return None
    if run["result"] is not None:
        return _shortened(json.dumps(run["result"]))
    if run["result_pickle"] is not None:
        return _unpickled(run)
    if run["result_size"]:
        return f"{run['result_size']:,} bytes, in {run['folder']} of {run['host']}"
    return "none"


def _unpickled(run: Mapping[str, Any]) -> str | None:
    try:
        # What comes from a host is trusted as the host is; it was unpickled when the run was waited for, too.
        value = pickle.loads(run["result_pickle"])  # noqa: S301
        return None if value is None else _shortened(reprlib.repr(value))
    except Exception as error:  # noqa: BLE001 - whatever a class of somebody's raises while it is made
        return (
            f"cannot be read here ({type(error).__name__}: {error}); its {len(run['result_pickle']):,} bytes are kept, "
            f"here and in {run['folder']} of {run['host']}"
        )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
