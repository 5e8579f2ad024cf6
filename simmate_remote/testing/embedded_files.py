"""The files about an embedded host: what a client needs to log in, and the inventory's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import asyncssh

_PASSPHRASE_ROUNDS = 16  # ssh-keygen's default


def write_client_files(
    folder: Path,
    *,
    alias: str,
    port: int,
    user: str,
    user_key: asyncssh.SSHKey,
    host_key: asyncssh.SSHKey,
    passphrase: str | None,
) -> Path:
    """Write the user's key, a known_hosts file, and an ssh_config file that names both.

    Args:
        folder: Where to write them; nobody else may be able to enter it.
        alias: What the host is called in the ssh_config file.
        port: Its port on 127.0.0.1.
        user: Who logs in there.
        user_key: With which key.
        host_key: The key that the host shows.
        passphrase: What protects the user's key; ``None``: nothing.

    Returns:
        The ssh_config file.
    """
    key_file, known_hosts, ssh_config = folder / "user_key", folder / "known_hosts", folder / "ssh_config"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        user_key.export_private_key(passphrase=passphrase, rounds=_PASSPHRASE_ROUNDS, ignore_few_rounds=True)
    )
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_key.export_public_key().decode().strip()}\n")
    ssh_config.write_text(
        f"Host {alias}\n"
        f"  HostName 127.0.0.1\n"
        f"  Port {port}\n"
        f"  User {user}\n"
        f'  IdentityFile "{key_file}"\n'
        f"  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{known_hosts}"\n'
        f"  StrictHostKeyChecking yes\n"
    )
    return ssh_config


def write_inventory(folder: Path, *, alias: str, ssh_config: Path, python: str, files: Path) -> Path:
    """Write the inventory's entry for a host.

    Args:
        folder: The inventory; made if need be.
        alias: The host's name, here and in the ssh_config file.
        ssh_config: The ssh_config file.
        python: The interpreter to use there.
        files: Where this package's files live there.

    Returns:
        The entry's file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entry = folder / f"{alias}.yaml"
    entry.write_text(f'ssh: {alias}\nssh_config: "{ssh_config}"\npython: "{python}"\nfolder: "{files}"\n')
    return entry
