"""The guardian: when the keeper is killed, nothing that it started stays, detached or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, signal, sys, time
import simmate_remote.keeper.host.serving as serving

def run(folder, runtime, order, ready, guardian):
    # A daemon: its parent ends at once, in a session of its own, and it does not end when it is asked.
    there, here = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(here, b"%d" % os.getpid())
            os.close(here)
            time.sleep(1000)
        os._exit(0)
    os.write(ready, f"{runtime} {int(os.read(there, 20))} {os.getpid()}\\n".encode())
    signal.pause()

serving.run = run
import simmate_remote.keeper.host.guardian as guardian
from simmate_remote.keeper.host.runtime_folder import make_runtime_folder
os.environ[guardian.MARK] = str(make_runtime_folder())
guardian.GRACE = 0.3
sys.argv = ["guardian", sys.argv[1]]
guardian.main()
"""


def test_a_keeper_that_is_killed_takes_its_daemons_and_its_folder_along(user_folders: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(user_folders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as guardian:
        assert guardian.stdin is not None
        assert guardian.stdout is not None
        guardian.stdin.write("{}")
        guardian.stdin.close()
        runtime, daemon, keeper = guardian.stdout.readline().split()
        assert Path(runtime).stat().st_mode & 0o777 == 0o700
        os.kill(int(keeper), 9)
        assert guardian.wait(20) == 0
    assert not Path(f"/proc/{daemon}").exists()
    assert not Path(runtime).exists()
