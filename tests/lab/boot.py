"""The first process of the box: makes the machine's own view of the file system, then reaps orphans.

It is run by ``unshare`` in new namespaces as ``python -I -S boot.py SETTINGS`` (JSON), prints its process id as the
outside sees it, and ends when its stdin does. The kernel then ends every process of the box: no orphan can stay.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [word.encode() for word in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} {target}: {os.strerror(number)}")


def make_mounts(folder: str, environments: str, hidden: list[str]) -> None:
    """Give the box its own /etc, /home, /tmp and so on, and take away what a distant machine would not have.

    Args:
        folder: The lab's folder, with ``etc`` and ``home``.
        environments: Folder of Python environments; the only part of /var/tmp that the box keeps.
        hidden: Further folders that look empty there.
    """
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # in a chroot, / is no mount point, and there is nothing to do
            raise
    mount(f"{folder}/etc", "/etc", flags=MS_BIND)
    mount(f"{folder}/home", "/home", flags=MS_BIND)
    kept = os.open(environments, os.O_PATH)
    for path, mode in (("/tmp", "1777"), ("/var/tmp", "1777"), ("/dev/shm", "1777"), ("/run", "755"), ("/root", "700")):
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    for path in filter(os.path.isdir, hidden):
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    os.makedirs(environments, exist_ok=True)
    mount(f"/proc/self/fd/{kept}", environments, flags=MS_BIND)
    os.close(kept)
    os.mkdir("/run/sshd", 0o755)
    mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("/dev/pts/ptmx", "/dev/ptmx", flags=MS_BIND)
    mount("proc", "/proc", "proc")


def reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    settings = json.loads(sys.argv[1])
    outside_pid = os.readlink("/proc/self")
    os.umask(0o022)
    socket.sethostname(settings["hostname"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    make_mounts(settings["folder"], settings["environments"], settings["hidden"])
    os.chdir("/")
    signal.signal(signal.SIGCHLD, reap)
    print(outside_pid, flush=True)
    while select.select([0], [], []) and os.read(0, 64):
        pass


if __name__ == "__main__":
    main()
