"""Open a link that holds a secret without telling it to others.

The arguments of a process, so of a browser that is started with an address, are open to every user of a machine.
So a browser is started with the name of a file that only its owner can read, and the file leads to the link.
"""

from __future__ import annotations

import html
import os
from pathlib import Path

NAME = "dashboard.html"


def write_launch_page(link: str, folder: Path) -> Path:
    """Write a page that leads a browser to a link.

    Args:
        link: The link, as of :attr:`simmate_remote.session.dashboard_gate.DashboardGate.link`.
        folder: A folder that exists; a page that is already there is replaced.

    Returns:
        The file to open: ``webbrowser.open(page.as_uri())``.
    """
    page = folder / NAME
    draft = folder / f"{NAME}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        target = html.escape(link)
        file.write(
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={target}"><title>simmate-remote</title></head>'
            f'<body><p><a href="{target}">Open the dashboard</a></p></body></html>\n'
        )
    return draft.replace(page)
