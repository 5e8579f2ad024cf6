"""What runs on the host during an examination: it answers calls on stdin and stdout until stdin ends.

Each call has a thread of its own: one that hangs, on a file system whose server is gone for example, keeps no other
from its answer. The protocol is that of :mod:`simmate_remote.streams.calls`.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from typing import Any

from simmate_remote.errors import KeeperError, error_to_dict

CALLS = {
    "versions": "simmate_remote.keeper.host.bootstrap:versions",
    "place": "simmate_remote.doctor.host.places:look",
    "scratch": "simmate_remote.doctor.host.places:find_scratch",
    "runtime": "simmate_remote.doctor.host.places:try_runtime_folder",
    "quota": "simmate_remote.doctor.host.quota:read_quota",
    "clock": "simmate_remote.doctor.host.machine:clock",
    "cores": "simmate_remote.doctor.host.machine:cores",
    "memory": "simmate_remote.doctor.host.machine:memory",
    "load": "simmate_remote.doctor.host.machine:load",
    "gpus": "simmate_remote.doctor.host.machine:gpus",
    "users": "simmate_remote.doctor.host.users:look",
    "queues": "simmate_remote.doctor.host.machine:queues",
    "python": "simmate_remote.doctor.host.machine:python",
    "logout": "simmate_remote.doctor.host.survival:look",
    "limits": "simmate_remote.doctor.host.limits:look",
    "programs": "simmate_remote.doctor.host.programs:look",
    "leftovers": "simmate_remote.doctor.host.leftovers:look",
    "remove_leftovers": "simmate_remote.doctor.host.leftovers:remove",
    "listen": "simmate_remote.doctor.host.listening:listen",
    "stop_listening": "simmate_remote.doctor.host.listening:stop",
}
"""The function behind each call; its module is imported when it is needed."""

_writing = threading.Lock()


def main() -> None:
    """Serve calls until stdin ends."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "call" in request:
            threading.Thread(target=_serve, args=(request,), daemon=True).start()


def _serve(request: dict[str, Any]) -> None:
    number, name = request["id"], request["call"]
    try:
        module, _, function = CALLS[name].partition(":")
        result = getattr(importlib.import_module(module), function)(**request["arguments"])
        answer = json.dumps({"id": number, "result": result})
    except Exception as error:  # noqa: BLE001 - whatever it is, the near end tells it
        told = KeeperError(f"{name} could not be looked at there: {type(error).__name__}: {error}")
        answer = json.dumps({"id": number, "error": error_to_dict(told)})
    with _writing:
        sys.stdout.buffer.write(answer.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
