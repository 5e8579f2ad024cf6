"""``setup`` of a bare account with the environment of ``make demo``, wheels already here; and a second one.

Compared with what one would type: ``scp`` of the same wheels, then ``uv`` there, which in that case is there already,
makes an environment and installs them offline.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.pairs import Comparison, Figure, compare
from simmate_remote.environment.local import Source, choose, installed
from simmate_remote.environment.platform_tags import local_platform
from simmate_remote.environment.setup import Feedback, SetupReport, Supply, Wish, set_up
from simmate_remote.environment.store import Wheel, WheelStore
from simmate_remote.environment.uv import local_uv, uv_for
from simmate_remote.environment.wheels import collect
from simmate_remote.inventory import Host
from tests.lab import Lab

WISH = Wish(only=("simmate-remote[examples]",))
SECOND = 3.0  # seconds
ACCOUNT = "bench-setup"


def measure(lab: Lab, runs: int) -> list[Comparison | Figure]:
    """Compare the two, and time a second setup."""
    account = lab.account(ACCOUNT)
    host = Host(name="bare", ssh=account.alias, ssh_config=lab.ssh_config)
    with tempfile.TemporaryDirectory(prefix="simmate-remote-bench-") as folder:
        supply = Supply(installed(), WheelStore(Path(folder)))
        wheels = _collect(supply)
        scp = ["scp", "-q", "-F", str(lab.ssh_config), *(str(each.path) for each in wheels)]
        home = lab.home(ACCOUNT)
        uv = local_uv(supply.store)
        assert uv is not None
        shutil.copy(uv, home / "uv")
        (home / "uv").chmod(0o755)
        (home / "list").write_text("".join(f"{each.name}=={each.version}\n" for each in wheels))

        def theirs() -> float:
            lab.run(ACCOUNT, "rm -rf wheels env .cache && mkdir wheels")
            start = time.perf_counter()
            subprocess.run([*scp, f"{account.alias}:wheels/"], check=True)
            install = (
                "./uv -q venv --python /usr/bin/python3 env && ./uv -q pip install --python env/bin/python "
                "--offline --no-index --find-links wheels --no-deps -r list && env/bin/python -c 'import distributed'"
            )
            subprocess.run(["ssh", "-F", str(lab.ssh_config), account.alias, install], check=True)
            return time.perf_counter() - start

        def ours() -> float:
            lab.run(ACCOUNT, "rm -rf simmate-remote")
            return _seconds(host, supply, changed=True)

        what = "scp, then uv pip install --offline"
        found = compare("setup of a bare host", ours, theirs, runs=runs, unit="s", what=what, at_most=1.5)
        again = statistics.median(_seconds(host, supply, changed=False) for _ in range(runs))
        lab.run(ACCOUNT, "rm -rf simmate-remote wheels env .cache uv list")
    size = sum(each.size for each in wheels)
    return [
        found,
        Figure("a second setup", again, "s", SECOND),
        Figure("wheels of setup's benchmark", size / 1e6, "MB"),
    ]


def _collect(supply: Supply) -> list[Wheel]:
    platform = local_platform()
    assert platform is not None
    wanted = choose(supply.installed, platform.marker_environment(), only=WISH.only)
    wheels = collect(wanted, platform, supply.store, host="bare", step=lambda _: None)
    uv_for(platform, supply.store, "bare")
    # Wheels are already here: an edit of this checkout meanwhile shall not make another one.
    own = supply.installed["simmate-remote"]
    built = next(each.path for each in wheels if each.name == own.name)
    supply.installed[own.name] = replace(own, source=Source(url=built.as_uri()))
    wanted = choose(supply.installed, platform.marker_environment(), only=WISH.only)
    return collect(wanted, platform, supply.store, host="bare", step=lambda _: None)


def _seconds(host: Host, supply: Supply, *, changed: bool) -> float:
    quiet = Feedback(lambda _: None, lambda *_: None, None)
    start = time.perf_counter()
    report: SetupReport = asyncio.run(set_up(host, WISH, supply, quiet))
    assert report.changed is changed
    return time.perf_counter() - start
