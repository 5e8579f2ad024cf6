"""Whether what we start outlives its login: logind, lingering, and programs that end what runs long on a login node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from simmate_remote.keeper.host.logout import decide
from simmate_remote.keeper.host.logout import look as look_at_login

KILLERS = {
    "arbiter": "Arbiter, which slows down and reports who uses much of a login node",
    "arbiter.py": "Arbiter, which slows down and reports who uses much of a login node",
    "and": "the auto nice daemon, which lowers or ends what runs long",
    "verynice": "verynice, which lowers or ends what runs long",
    "slay": "slay, which ends all processes of a user",
    "killuser": "a program that ends all processes of a user",
}
"""Programs that are made to restrain users of shared machines, by the name of their process."""

LOGIND_FILES = (
    "/etc/systemd/logind.conf",
    "/etc/systemd/logind.conf.d",
    "/run/systemd/logind.conf.d",
    "/usr/lib/systemd/logind.conf.d",
)


def look() -> dict[str, Any]:
    """Say what is known about the end of this login, and of what it leaves behind."""
    login = look_at_login()
    survival = decide(login)
    return {
        "in_session": login.in_session,
        "kills": login.kills,
        "lingers": login.lingers or _lingers(),
        "has_manager": login.has_manager,
        "prefix": list(survival.prefix),
        "warnings": [list(warning) for warning in survival.warnings],
        "configured": configured(LOGIND_FILES),
        "killers": sorted({KILLERS[name] for name in _processes() if name in KILLERS}),
    }


def configured(files: tuple[str, ...]) -> str | None:
    """Give the value of ``KillUserProcesses`` in logind's files, if one of them says it (logind.conf(5))."""
    value = None
    for name in files:
        path = Path(name)
        for file in sorted(path.glob("*.conf")) if path.is_dir() else [path]:
            try:
                lines = file.read_text(errors="replace").splitlines()
            except OSError:
                continue
            for line in lines:
                key, equals, text = line.strip().partition("=")
                if equals and key.strip() == "KillUserProcesses":
                    value = text.strip()
    return value


def _lingers() -> bool:
    return Path("/var/lib/systemd/linger", os.environ.get("USER", "")).is_file()


def _processes() -> set[str]:
    names = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                names.add(Path(entry.path, "comm").read_text().strip())
            except OSError:
                continue
    return names
