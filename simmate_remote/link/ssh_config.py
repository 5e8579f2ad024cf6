"""Resolving ~/.ssh/config: by the ``ssh`` program where there is one, else by asyncssh's own reader."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

from simmate_remote.link.settings import HostSettings, Options, local_home, local_user
from simmate_remote.link.target import Target

# What asyncssh's reader knows and a login needs; the rest keeps its default when there is no ssh program.
_READ_WITHOUT_SSH = [
    "AddressFamily",
    "BindAddress",
    "CertificateFile",
    "Ciphers",
    "Compression",
    "ConnectTimeout",
    "GlobalKnownHostsFile",
    "GSSAPIAuthentication",
    "GSSAPIDelegateCredentials",
    "GSSAPIKeyExchange",
    "HostKeyAlgorithms",
    "HostKeyAlias",
    "Hostname",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "KbdInteractiveAuthentication",
    "KexAlgorithms",
    "MACs",
    "PasswordAuthentication",
    "PKCS11Provider",
    "Port",
    "PreferredAuthentications",
    "ProxyCommand",
    "ProxyJump",
    "PubkeyAuthentication",
    "SendEnv",
    "SetEnv",
    "TCPKeepAlive",
    "User",
    "UserKnownHostsFile",
]
_EXPANDED = {"CertificateFile", "IdentityAgent", "IdentityFile", "ProxyCommand"}  # where it fills in the tokens itself
_ON_ONE_LINE = {"UserKnownHostsFile", "GlobalKnownHostsFile"}
_DEFAULTS: Options = {
    "identityfile": [f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk")],
    "userknownhostsfile": ["~/.ssh/known_hosts ~/.ssh/known_hosts2"],
    "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"],
}


class Resolver:
    """Find out what the configuration says about one machine after another.

    Args:
        config: The file that says it; ``None`` is the user's own and after it the system's.
        timeout: Seconds that the program ``ssh`` may take, which runs the commands of ``Match exec``.
    """

    def __init__(self, config: str | None, timeout: float) -> None:
        self._config = config
        self._timeout = timeout
        self._defaults: Options = {}

    async def resolve(self, target: Target) -> HostSettings:
        """Return what the configuration says about a target.

        Raises:
            ValueError: The configuration is wrong; the text is the program's own.
            TimeoutError: A command of ``Match exec`` did not end.
        """
        if shutil.which("ssh"):
            async with asyncio.timeout(self._timeout):
                options, self._defaults = await asyncio.gather(
                    _ask_program(target, self._config), self._read_defaults()
                )
            return HostSettings(target, options, self._defaults)
        options = await asyncio.to_thread(_read_files, target, self._config)
        return HostSettings(target, _DEFAULTS | options, _DEFAULTS)

    async def _read_defaults(self) -> Options:
        return self._defaults or await _ask_program(Target("default"), os.devnull)


async def _ask_program(target: Target, config: str | None) -> Options:
    command = ["ssh", "-G"]
    command += ["-F", config] if config is not None else []
    command += ["-l", target.user] if target.user is not None else []
    command += ["-p", str(target.port)] if target.port is not None else []
    process = await asyncio.create_subprocess_exec(
        *command,
        "--",
        target.name,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        printed, complaint = await process.communicate()
    except asyncio.CancelledError:
        # Its whole group: a command of Match exec would outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode:
        raise ValueError(complaint.decode(errors="replace").strip() or "ssh -G gave no reason")
    return parse_options(printed.decode(errors="surrogateescape").splitlines())


def parse_options(lines: Iterable[str]) -> Options:
    """Collect the lines ``option value`` that ``ssh -G`` prints."""
    options: Options = {}
    for line in lines:
        option, space, value = line.partition(" ")
        if space:
            options.setdefault(option.lower(), []).append(value)
    return options


def _read_files(target: Target, config: str | None) -> Options:
    from asyncssh.config import SSHClientConfig

    files = [config] if config is not None else [f"{local_home()}/.ssh/config", "/etc/ssh/ssh_config"]
    found = [file for file in files if config is not None or Path(file).is_file()]
    try:
        read = SSHClientConfig.load(
            None,
            found,
            False,
            False,
            False,
            local_user(),
            target.user or (),
            target.name,
            target.port or (),
        )
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error
    options: Options = {}
    for option in _READ_WITHOUT_SSH:
        value = read.get(option)
        if value is not None:
            lines = [_text(item) for item in value] if isinstance(value, list) else [_text(value)]
            if option in _EXPANDED:
                lines = [line.replace("%", "%%") for line in lines]
            options[option.lower()] = [" ".join(lines)] if option in _ON_ONE_LINE else lines
    return options


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, socket.AddressFamily):
        return {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}.get(value, "any")
    return str(value)
