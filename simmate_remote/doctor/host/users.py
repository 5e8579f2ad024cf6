"""Who else is on the machine, and how busy they keep it."""

from __future__ import annotations

import os
import pwd
import time
from collections import Counter
from pathlib import Path
from typing import Any

SAMPLE = 0.3
FIRST_PERSON = 1000
"""The smallest number of a user that is a person, on Linux distributions of today (login.defs(5))."""

NOBODY = 65534
MOST_NAMED = 8


def look() -> dict[str, Any]:
    """Measure for a moment what each person's processes use of processors."""
    before = _ticks()
    time.sleep(SAMPLE)
    after = _ticks()
    used: Counter[int] = Counter()
    for pid, (user, ticks, _) in after.items():
        used[user] += ticks - before[pid][1] if pid in before else ticks
    cores = {user: used[user] / os.sysconf("SC_CLK_TCK") / SAMPLE for user in used}
    people = {user for user, *_ in after.values() if FIRST_PERSON <= user < NOBODY} - {os.getuid()}
    others = sorted(people, key=lambda user: -cores.get(user, 0.0))
    return {
        "others": len(others),
        "named": [{"name": _name(user), "cores": round(cores.get(user, 0.0), 2)} for user in others[:MOST_NAMED]],
        "others_cores": round(sum(cores.get(user, 0.0) for user in others), 2),
        "own_cores": round(cores.get(os.getuid(), 0.0), 2),
        "hidden": not Path("/proc/1/stat").exists(),
    }


def _ticks() -> dict[int, tuple[int, int, str]]:
    """Give user, processor time in ticks and name of each process (``/proc/PID/stat``, proc(5))."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            text = Path(entry.path, "stat").read_text(errors="replace")
            user = entry.stat().st_uid
        except OSError:
            continue  # it ended meanwhile
        name, _, rest = text.partition("(")[2].rpartition(")")
        fields = rest.split()
        found[int(entry.name)] = (user, int(fields[11]) + int(fields[12]), name)
    return found


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
