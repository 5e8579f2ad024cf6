"""Processes of this package on this machine that live on their own, whoever has started them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def start_detached(module: str, request: dict[str, Any], log: Path) -> tuple[int, bytes]:
    """Start a module of ours with the interpreter that runs here, and wait for its first line.

    It reads the request, a line of JSON, from its stdin; both that and its stdout are closed once it has answered.

    Args:
        module: Its full name.
        request: What it shall do.
        log: The file that its stderr is added to.

    Returns:
        The process's id, and the line; empty: it died before it had said anything.
    """
    stderr = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(stderr)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    # It is on its own now; without this the interpreter would complain that nobody waits for it.
    process.returncode = 0
    return process.pid, answer
