"""From a packed run to what is written down of it before it begins."""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.identity import new_id
from simmate_remote.version import __version__
from simmate_remote.workflows.pickling import dump
from simmate_remote.workflows.signatures import accepted_names
from simmate_remote.workflows.submission import Prepared
from simmate_remote.workflows.target import Target
from simmate_remote.workflows.unsendable import find_unsendable

PROGRAM = "simmate_remote.workflows.durable:execute"
LARGE = 256 * 1024
"""Bytes of pickled parameters from which on they are a file of their own."""

READABLE = 4096
"""Characters of one parameter that people can read."""


def spec_here(target: Target, parameters: Mapping[str, Any], again: str | None = None) -> Spec:
    """Write down what a run is that is executed without a host.

    Args:
        target: What runs.
        parameters: By name.
        again: The run that it is once more.
    """
    file = getattr(sys.modules.get(target.module), "__file__", None)
    payload: dict[str, Any] = {
        "module": target.module,
        "attribute": target.attribute,
        "file": os.path.abspath(file) if file else "",
        "cwd": _current_folder(),
    }
    try:
        pickled = dump(dict(parameters), target.module)
    except Exception as error:  # noqa: BLE001 - anything may be a parameter where nothing is sent
        payload["unrecorded"] = find_unsendable(dict(parameters)) or str(error)
    else:
        if len(pickled) <= LARGE:
            payload["parameters"] = base64.b64encode(pickled).decode()
        else:
            payload["unrecorded"] = f"they have {len(pickled):,} bytes, and of a run here {LARGE:,} are kept"
    return _spec(target, parameters, program="", payload=payload, restarted_from=again)


def spec_of(target: Target, parameters: Mapping[str, Any], prepared: Prepared) -> tuple[Spec, dict[str, bytes]]:
    """Write down what a run is.

    Args:
        target: What runs.
        parameters: By name.
        prepared: The same, packed.

    Returns:
        What it is, and what it shares with others, by digest: its own code, and large parameters.
    """
    call, code = prepared.call, prepared.code
    parameters_, blobs = packed_parameters(call.parameters)
    payload: dict[str, Any] = {
        "module": call.module,
        "attribute": call.attribute,
        "digest": call.digest,
        "names": list(call.names),
        "accepts": accepted_names(target),
        **parameters_,
    }
    if code is not None:
        blobs[code.sha256] = code.archive
    spec = _spec(target, parameters, program=PROGRAM, payload=payload, code=code.sha256 if code is not None else None)
    return spec, blobs


def packed_parameters(pickled: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """Give pickled parameters as a payload has them, and as a blob, by its digest, where they are large."""
    if len(pickled) <= LARGE:
        return {"parameters": base64.b64encode(pickled).decode()}, {}
    digest = hashlib.sha256(pickled).hexdigest()
    return {"parameters_blob": digest}, {digest: pickled}


def _spec(target: Target, parameters: Mapping[str, Any], **further: Any) -> Spec:
    return Spec(
        id=new_id(),
        workflow=target.name,
        workflow_version=str(getattr(target.function, "version", "")),
        parameters={name: readable(value) for name, value in parameters.items()},
        started_by=who(),
        created=time.time(),
        versions=versions(),
        **further,
    )


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # somebody has removed it


def readable(value: Any) -> Any:
    """Give a parameter as people read it: plain data as it is, and anything else as text."""
    if isinstance(value, Path):
        return str(value)
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _shortened(repr(value))
    return json.loads(text) if len(text) <= READABLE else _shortened(text)


@cache
def versions() -> dict[str, str]:
    """Give the versions of what matters to a run."""
    import dask
    import distributed

    return {
        "python": platform.python_version(),
        "simmate_remote": __version__,
        "dask": dask.__version__,
        "distributed": distributed.__version__,
    }


def _shortened(text: str) -> str:
    return text if len(text) <= READABLE else f"{text[: READABLE - 1]}…"


@cache
def who() -> str:
    """Give who runs this, and on which machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
