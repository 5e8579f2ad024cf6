"""The lab: a distant machine on this machine, with a real sshd behind a firewall that lets in only port 22."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab import requirements
from tests.lab.accounts import Account, Accounts
from tests.lab.box import SYSTEM_PYTHON, Box, end_helper, read_line, start_helper
from tests.lab.change import Change
from tests.lab.clock import prepare_clock
from tests.lab.codes import OneTimeCodes
from tests.lab.environments import make_environment, same_as_here
from tests.lab.folder import LabFolder, write_json
from tests.lab.network import Network
from tests.lab.processes import BoxProcess, Process, Socket, list_sockets
from tests.lab.sshd import SSHServer

POLL_INTERVAL = 0.02


class Lab:
    """A machine that only SSH reaches, with two users: ``researcher`` (ours) and ``neighbour`` (curious).

    ``with Lab.up() as lab:`` brings it up and takes it down. Whatever happens to the process that made it, the kernel
    ends everything: it all hangs on two processes that end when their stdin does.

    Attributes:
        address: The box's address, reachable from here by the lab's cable.
        ssh_config: Makes ``ssh -F <it> lab-box`` work; other accounts have aliases of their own.
        known_hosts: The box's host keys.
        inventory: A folder of hosts, for ``SIMMATE_REMOTE_HOSTS``.
        python: An interpreter on the box with distributed, bokeh and ASE in the versions of the one that runs this.
        network: Latency, loss, outages, the firewall.
        server: sshd: start, stop, hang up.
    """

    def __init__(self) -> None:
        self._folder = LabFolder()
        self.folder = self._folder.path
        self.ssh_config = self.folder / "ssh_config"
        self.known_hosts = self.folder / "known_hosts"
        self.inventory = self.folder / "hosts"
        self.python = make_environment(same_as_here())
        self._cable: subprocess.Popen[str] | None = None
        self.box = Box(self._folder)
        self.server = SSHServer(self.box, self.folder)

    @staticmethod
    def missing() -> tuple[str, str] | None:
        """Say why there can be no lab here, and the command that would enable it; ``None``: there can."""
        return requirements.missing()

    @classmethod
    def up(cls) -> Lab:
        """Bring a lab up; the first time on a machine, its Python environment takes about a minute.

        Raises:
            RuntimeError: It is not possible here; with the command that would enable it.
        """
        if reason := cls.missing():
            raise RuntimeError(f"{reason[0]}; this would enable it: {reason[1]}")
        lab = cls()
        try:
            lab._start()
        except BaseException:
            lab.down()
            raise
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def _start(self) -> None:
        for name in ("home", "keys", "hosts"):
            (self.folder / name).mkdir()
        shutil.copytree("/etc", self.folder / "etc", symlinks=True, ignore=_skip_special)
        (self.folder / "etc/hosts").write_text(f"127.0.0.1 localhost {self.box.hostname}\n::1 localhost\n")
        (self.folder / "etc/hostname").write_text(f"{self.box.hostname}\n")
        self.accounts = Accounts(self.folder)
        self._codes = OneTimeCodes(self.folder)
        self._cable = start_helper(
            [SYSTEM_PYTHON, "-I", "-S", str(Path(__file__).with_name("cable.py")), str(self.folder)]
        )
        state = json.loads(read_line(self._cable, "the cable did not start"))
        self._folder.record_process(self._cable.pid)
        self.address: str = state["box_address"]
        self._boot()
        host_keys = self.server.make_host_keys()
        self.known_hosts.write_text("".join(f"{self.address} {key}\n" for key in host_keys.values()))
        self.account("researcher", alias="lab-box")
        self.account("neighbour")
        self.server.start()

    def _boot(self) -> None:
        self.box.start()
        self.network = Network(self.folder, self.box.init_pid)
        self.network.plug()
        write_json(self.folder / "state.json", {"init_pid": self.box.init_pid, "address": self.address})

    def down(self) -> None:
        """Take the lab down: afterwards no process, device, namespace, mount or file of it is left."""
        self.box.stop()
        self.server.box_ended()
        if self._cable is not None:
            end_helper(self._cable)
            self._cable = None
        self._folder.remove()

    def reboot(self, *, seconds: float = 0) -> None:
        """Pull the plug and start the machine again: /tmp, /run, every process and a wrong clock are gone.

        Args:
            seconds: How long it stays off.
        """
        self.network.unplug()
        self.box.stop()
        self.server.box_ended()
        time.sleep(seconds)
        self.server.environment = {}
        self._boot()
        self.server.start()

    def account(
        self,
        name: str,
        *,
        shell: str = "/bin/bash",
        home: str | None = None,
        bashrc: str = "",
        key: bool = True,
        password: str | None = None,
        alias: str | None = None,
    ) -> Account:
        """Add a user to the box.

        Args:
            name: Login name.
            shell: Login shell, for example ``/usr/bin/fish``.
            home: Home folder, somewhere below ``/home``.
            bashrc: What stands in the file that this shell reads at each start (.bashrc, .cshrc, config.fish, …).
            key: Whether the lab's ssh_config logs in with a key; otherwise it asks for the password or a code.
            password: The password.
            alias: What to type after ``ssh``; default: ``lab-`` and the name.
        """
        account = self.accounts.add(
            name, shell=shell, home=home, bashrc=bashrc, key=key, password=password, alias=alias or f"lab-{name}"
        )
        self._codes.enrol(name)
        lines = [
            f"Host {account.alias}",
            f"  HostName {self.address}",
            f"  User {name}",
            f"  UserKnownHostsFile {self.known_hosts}",
            "  GlobalKnownHostsFile /dev/null",
            "  StrictHostKeyChecking yes",
            "  IdentityAgent none",  # the lab's keys are in files; a person's agent has no part in it
            "  IdentitiesOnly yes",
            f"  IdentityFile {account.key}" if account.key else "  PubkeyAuthentication no",
        ]
        with self.ssh_config.open("a") as file:
            file.write("\n".join(lines) + "\n\n")
        self._describe_host(account)
        return account

    def _describe_host(self, account: Account) -> None:
        text = f"ssh: {account.alias}\nssh_config: {self.ssh_config}\npython: {self.python}\n"
        (self.inventory / f"{account.alias}.yaml").write_text(text)

    def environment(self, *packages: str) -> Path:
        """Return an interpreter on the box with other packages; the first time, make it.

        Args:
            packages: Requirements as pip understands them, for example ``distributed==2026.1.2``.
        """
        return make_environment(packages)

    def sshd(self, **settings: object) -> Change:
        """Start the SSH server anew with other settings; open sessions stay open.

        Args:
            settings: Keywords of sshd_config; a list is several lines. Without any: the lab's own again.
        """
        return self.server.configure(settings)

    def one_time_codes(self, methods: str = "keyboard-interactive") -> Change:
        """Let the server ask for a one-time code (HOTP, as tokens and telephones make them).

        Args:
            methods: sshd's AuthenticationMethods, for example ``publickey,keyboard-interactive``.
        """
        self._codes.ask_for_codes()
        return self.sshd(UsePAM="yes", KbdInteractiveAuthentication="yes", AuthenticationMethods=methods)

    def next_code(self, user: str) -> str:
        """Return the next one-time code of a user; each is accepted once."""
        return self._codes.next_code(user)

    def clock(self, offset_seconds: float) -> Change:
        """Set the box's wall clock ahead or behind, for every SSH session that begins from now on.

        A process whose environment was emptied sees the true time again, and so does :meth:`run`.

        Args:
            offset_seconds: Whole seconds ahead; negative: behind.
        """
        self.server.stop()
        self.server.environment = prepare_clock(self.box, offset_seconds)
        self.server.start()
        return Change(lambda: self.clock(0))

    def mark(self) -> int:
        """Return a mark in the server's log for :meth:`logins` and :meth:`connections`."""
        return self.server.mark()

    def logins(self, mark: int = 0) -> int:
        """Count the logins that the server accepted after a mark; ``server.logins`` tells more of each."""
        return len(self.server.logins(mark))

    def connections(self, mark: int = 0) -> int:
        """Return how many TCP connections the server got after a mark, whatever became of them."""
        return self.server.connections(mark)

    def run(self, user: str, command: str | Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on the box as a user, without SSH; see :meth:`tests.lab.box.Box.run`."""
        return self.box.run(user, command, **options)

    def popen(self, user: str, command: str | Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a command on the box as a user, without SSH; see :meth:`tests.lab.box.Box.popen`."""
        return self.box.popen(user, command, **options)

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process, by its number on the box."""
        self.box.kill(pid, number)

    def processes(self, user: str) -> list[Process]:
        """Return a user's processes on the box, sshd's own for an open session (``sshd: user``) among them."""
        return [process.seen for process in self._processes(user)]

    def sockets(self, user: str) -> list[Socket]:
        """Return the listening TCP and Unix sockets that a user's processes hold."""
        return list_sockets(self.box.init_pid, self._processes(user))

    def _processes(self, user: str) -> list[BoxProcess]:
        uid = self.accounts[user].uid
        return [process for process in self.box.processes() if process.uid == uid]

    def files(self, user: str) -> list[str]:
        """Return everything outside of the homes that belongs to a user: in /tmp, /var/tmp, /run and /dev/shm."""
        root = f"/proc/{self.box.init_pid}/root"
        uid = self.accounts[user].uid
        found = []
        for place in ("tmp", "var/tmp", "run", "dev/shm"):
            device = os.lstat(f"{root}/{place}").st_dev
            for folder, folders, files in os.walk(f"{root}/{place}"):
                states = {name: os.lstat(f"{folder}/{name}") for name in (*folders, *files)}
                found += [
                    f"{folder}/{name}".removeprefix(root) for name, state in states.items() if state.st_uid == uid
                ]
                # Not into what is mounted there: the Python environments have many thousand files, and nobody's.
                folders[:] = [name for name in folders if states[name].st_dev == device]
        return sorted(found)

    def home(self, user: str) -> Path:
        """Return where, on this machine, the files of a user's home are."""
        return self.accounts.home_folder(self.accounts[user])

    def wait_until_idle(self, user: str, *, seconds: float = 10) -> None:
        """Wait until a user has no process on the box, and so no socket.

        Raises:
            AssertionError: Some were still there after that time; they are named.
        """
        limit = time.monotonic() + seconds
        while processes := self.processes(user):
            if time.monotonic() > limit:
                left = "\n".join(f"  {process.pid} {' '.join(process.argv)}" for process in processes)
                raise AssertionError(f"{user} still has on the box after {seconds} s:\n{left}")
            time.sleep(POLL_INTERVAL)


def _skip_special(folder: str, names: list[str]) -> list[str]:
    """Name what of /etc is neither file, folder nor link, and what is nobody's business on the box."""
    secret = {"ssl": {"private"}, "etc": {"ssh", "shadow-", "gshadow-"}}.get(Path(folder).name, set())
    ordinary = (name for name in names if (path := Path(folder, name)).is_symlink() or path.is_file() or path.is_dir())
    return [*secret, *(set(names) - set(ordinary))]
