"""What the lab needs of this machine, and how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = {
    "/usr/sbin/sshd": "openssh-server",
    "/usr/bin/ssh": "openssh-client",
    "/usr/sbin/nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "tcsh": "tcsh",
    "fish": "fish",
    "pw.x": "quantum-espresso",
    "xtb": "xtb",
    "pypy3": "pypy3",  # an interpreter of another minor version, which Debian has
    "rsync": "rsync",  # what `push` is measured against
}
FILES = {
    "usr/lib/*/faketime/libfaketimeMT.so.1": "faketime",
    "usr/lib/*/security/pam_oath.so lib/*/security/pam_oath.so": "libpam-oath",
    "usr/lib/python3*/ensurepip/__main__.py": "python3-venv",
    "usr/share/espresso/pseudo/Si.pz-vbc.UPF": "quantum-espresso-data",
}
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL = "python -m tests.lab install"
NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def missing_packages() -> list[str]:
    """Return the Debian packages that are to be installed."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program, path=SEARCH) is None]
    for patterns, package in FILES.items():
        if not any(found for pattern in patterns.split() for found in Path("/").glob(pattern)):
            packages.append(package)
    return packages


def missing() -> tuple[str, str] | None:
    """Say why the lab cannot be brought up here, and the command that would enable it; ``None``: it can."""
    if os.name != "posix" or os.uname().sysname != "Linux":
        return "the lab needs Linux", "use a Linux machine"
    if os.geteuid() != 0:
        return "the lab needs root (network namespaces, TUN devices)", "sudo make test"
    if not Path("/dev/net/tun").exists():
        return "the lab needs /dev/net/tun", "mkdir -p /dev/net && mknod /dev/net/tun c 10 200"
    packages = missing_packages()
    if packages:
        return f"the lab needs Debian packages: {' '.join(packages)}", INSTALL
    return None


def install() -> None:
    """Install the missing Debian packages, without starting any service of theirs."""
    packages = missing_packages()
    if not packages:
        return
    made = not NO_SERVICES.exists()
    if made:
        NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        NO_SERVICES.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        options = ["-y", "-qq", "--no-install-recommends"]
        subprocess.run(["apt-get", "install", *options, *packages], check=True, env=environment)
    finally:
        if made:
            NO_SERVICES.unlink()
