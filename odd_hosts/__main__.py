"""``python -m odd_hosts``: go the way of a new user at each odd host in the lab, and write docs/odd-hosts.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from odd_hosts.journey import Journey, travel
from odd_hosts.kinds import ODD_HOSTS
from odd_hosts.report import DOCUMENT, document, table
from tests.lab import Lab


def main() -> int:
    """Do what the command line says, and return the exit status: 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m odd_hosts", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="only hosts with these words in their title")
    options = parser.parse_args()
    if missing := Lab.missing():
        print(f"the lab cannot be had: {missing[0]}; this would enable it: {missing[1]}", file=sys.stderr)
        return 1
    journeys: list[Journey] = []
    with Lab.up() as lab:
        for host in ODD_HOSTS:
            if options.only.lower() not in host.title.lower():
                continue
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                journeys.append(travel(host, lab, Path(folder)))
            words = "; ".join(journeys[-1].violations) or "as it must be"
            print(f"{host.title}: {words} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    if options.only:
        print(table(journeys))
    else:
        DOCUMENT.write_text(document(journeys))
        print(f"written: {DOCUMENT}", file=sys.stderr)
    return int(any(each.violations for each in journeys))


if __name__ == "__main__":
    sys.exit(main())
