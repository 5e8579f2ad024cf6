"""What ``ssh`` runs to ask a person: hands the question to the process that started ssh, and prints its answer.

It is run with ``python -I -S`` and uses the standard library alone, since a person waits for it.
"""

from __future__ import annotations

import json
import os
import socket
import sys

VARIABLE = "SIMMATE_REMOTE_ASK"
"""Names the socket of the process that answers; whoever knows it still has to be its user."""


def main() -> int:
    """Ask; the exit status says whether there was an answer."""
    question = {"text": " ".join(sys.argv[1:]), "hint": os.environ.get("SSH_ASKPASS_PROMPT", "")}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[VARIABLE])
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as stream:
            # Nothing comes when nobody answers, or the process has ended.
            answer = json.loads(stream.readline() or b"null")
    if answer is None:
        return 1
    sys.stdout.write(answer + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
