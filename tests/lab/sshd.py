"""The OpenSSH server of the box: its settings, its log, and what the log says of logins."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from tests.lab.accounts import make_key
from tests.lab.box import Box
from tests.lab.change import Change
from tests.lab.processes import BoxProcess

START_LIMIT = 10.0
HOST_KEY_KINDS = ("ed25519", "ecdsa")
SETTINGS: dict[str, object] = {
    "Port": 22,
    "ListenAddress": "0.0.0.0",
    "HostKey": [f"/etc/ssh/ssh_host_{kind}_key" for kind in HOST_KEY_KINDS],
    "PidFile": "/run/sshd.pid",
    "LogLevel": "VERBOSE",
    "UsePAM": "no",
    "UseDNS": "no",
    "PasswordAuthentication": "yes",
    "PrintMotd": "no",
    "AcceptEnv": "LANG LC_*",
    "Subsystem": "sftp /usr/lib/openssh/sftp-server",
}


class Login(NamedTuple):
    """A login that the server accepted.

    Args:
        user: The name.
        method: How, for example ``publickey`` or ``keyboard-interactive/pam``.
        address: Where from.
        port: Which port there.
    """

    user: str
    method: str
    address: str
    port: int


class SSHServer:
    """Starts, stops and reconfigures sshd.

    Args:
        box: Where it runs.
        folder: The lab's folder; the log is ``sshd.log`` in it, and survives a reboot.

    Attributes:
        environment: What sessions get, from the next start on.
    """

    def __init__(self, box: Box, folder: Path) -> None:
        self._box = box
        self._folder = folder
        self._listener: subprocess.Popen[str] | None = None
        self._overrides: dict[str, object] = {}
        self.environment: dict[str, str] = {}
        self.log = folder / "sshd.log"
        self.log.touch()

    def make_host_keys(self) -> dict[str, str]:
        """Make new host keys, and return their public halves as known_hosts has them, by kind."""
        place = self._folder / "etc/ssh"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        keys = [make_key(place / f"ssh_host_{kind}_key", kind).with_suffix(".pub") for kind in HOST_KEY_KINDS]
        return {kind: " ".join(key.read_text().split()[:2]) for kind, key in zip(HOST_KEY_KINDS, keys, strict=True)}

    def configure(self, settings: dict[str, object]) -> Change:
        """Start the server anew with other settings; sessions that are open stay open.

        Args:
            settings: Keywords of sshd_config in place of the lab's; a list is several lines; ``None``: leave it out.
        """
        before = self._overrides
        self.stop()
        self._overrides = settings
        self.start()
        return Change(lambda: self.configure(before))

    def start(self) -> None:
        """Start the server, and wait until it listens.

        Raises:
            RuntimeError: It did not start; with what it said.
        """
        (self._folder / "etc/ssh/sshd_config").write_text(self._configuration())
        start = self.mark()
        with self.log.open("a") as log:
            words = [*self._box.enter(), "/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"]
            self._listener = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True, start_new_session=True
            )
        limit = time.monotonic() + START_LIMIT
        while "Server listening on" not in self._said(start):
            if self._listener.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"sshd did not start:\n{self._said(start)}")
            time.sleep(0.003)

    def overrides(self) -> dict[str, object]:
        """Return the settings that are not the lab's own."""
        return dict(self._overrides)

    def _configuration(self) -> str:
        lines = []
        for keyword, value in {**SETTINGS, **self._overrides}.items():
            values = value if isinstance(value, list) else [value]
            lines += [f"{keyword} {one}\n" for one in values if one is not None]
        if self.environment:
            lines.append("SetEnv " + " ".join(f'"{name}={value}"' for name, value in self.environment.items()) + "\n")
        return "".join(lines)

    def stop(self) -> None:
        """End the listener; sessions that are open stay open, new connections are refused."""
        if self._listener is None:
            return
        for process in self._box.processes():
            if process.seen.argv[0].startswith(("/usr/sbin/sshd", "sshd: /usr/sbin/sshd")):
                with contextlib.suppress(ProcessLookupError):  # it was ending by itself
                    self._box.kill(process.seen.pid, signal.SIGTERM)
        self._listener.wait(START_LIMIT)
        self._listener = None

    def box_ended(self) -> None:
        """Take note that the box, and so the server, is gone."""
        if self._listener is not None:
            self._listener.wait(START_LIMIT)
            self._listener = None

    def sessions(self) -> list[BoxProcess]:
        """Return the server's processes for open connections; a login has two, root's and its user's."""
        return [process for process in self._box.processes() if re.match(r"sshd: (?!/)", process.seen.argv[0])]

    def beginning(self) -> int:
        """Return how many connections have not logged in yet, as the server counts them for MaxStartups."""
        titles = " ".join(process.seen.argv[0] for process in self._box.processes())
        counted = re.search(r"\[listener\] (\d+) of \d+-\d+ startups", titles)
        return int(counted[1]) if counted else 0

    def hang_up(self) -> int:
        """Kill every open session of the server, and return how many processes that were."""
        sessions = self.sessions()
        for process in sessions:
            try:
                self._box.kill(process.seen.pid)
            except ProcessLookupError:
                continue
        return len(sessions)

    def mark(self) -> int:
        """Return a mark: the present end of the log."""
        return self.log.stat().st_size

    def logins(self, mark: int = 0) -> list[Login]:
        """Return the logins that were accepted after a mark."""
        pattern = r"^Accepted (\S+) for (\S+) from (\S+) port (\d+)"
        found = re.findall(pattern, self._said(mark), re.MULTILINE)
        return [Login(user, method, address, int(port)) for method, user, address, port in found]

    def connections(self, mark: int = 0) -> int:
        """Return how many TCP connections the server got after a mark, whatever became of them."""
        return len(re.findall(r"^Connection from ", self._said(mark), re.MULTILINE))

    def _said(self, mark: int) -> str:
        with self.log.open("rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace").replace("\r\n", "\n")
