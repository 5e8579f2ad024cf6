"""The user's quota on the host, as the program ``quota`` tells it (quota(1))."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

LIMIT = 5.0


def read_quota() -> list[dict[str, Any]]:
    """Give used and allowed bytes and files of each file system on which this user has a quota."""
    if shutil.which("quota") is None:
        return []
    try:
        # -w: one line each, however long; -p: numbers instead of words.
        done = subprocess.run(
            ["quota", "-w", "-p"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_quota(done.stdout)


def parse_quota(text: str) -> list[dict[str, Any]]:
    """Read what ``quota -w -p`` prints: a file system, then blocks of 1 KiB and files, each with two limits and grace.

    Args:
        text: Its stdout.
    """
    found = []
    for line in text.splitlines():
        words = line.split()
        numbers = [word.rstrip("*") for word in words[1:9]]
        if len(numbers) < 8 or not all(number.isdecimal() for number in numbers):
            continue
        used, soft, hard, _, files, files_soft, files_hard, _ = map(int, numbers)
        found.append(
            {
                "place": words[0],
                "used": used * 1024,
                "allowed": (hard or soft) * 1024,
                "files": files,
                "files_allowed": files_hard or files_soft,
                "over": "*" in words[1] or "*" in words[5],
            }
        )
    return found
