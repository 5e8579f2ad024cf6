"""Faults of a host and of the way to it, each with the check of ``doctor`` that finds it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import asyncssh

from simmate_remote.doctor.finding import Status
from simmate_remote.inventory import Duration, Size
from tests.doctor_scene import Scene, end_arbiter, home_on_tmpfs, listener, new_key, only_key

Fault = Callable[[Scene], dict[str, Any] | None]
"""Injects a fault; gives fields of the host's file."""

FAULTS: dict[str, tuple[str, Status, Fault]] = {}
"""By name: the check that finds it, what it says, and how it comes about."""


SLOW = {"a network that is far away"}


def fault(check: str, status: Status) -> Callable[[Fault], Fault]:
    """Add a fault to the table."""

    def add(inject: Fault) -> Fault:
        FAULTS[inject.__name__.replace("_", " ")] = (check, status, inject)
        return inject

    return add


# On the way


@fault("ssh-config", "warning")
def any_key_of_a_host_is_accepted(scene: Scene) -> dict[str, Any]:
    return scene.config(StrictHostKeyChecking="no")


@fault("ssh-config", "warning")
def the_agent_is_forwarded(scene: Scene) -> dict[str, Any]:
    return scene.config(ForwardAgent="yes")


@fault("ssh-config", "warning")
def a_cipher_that_can_be_broken(scene: Scene) -> dict[str, Any]:
    return scene.config(Ciphers="aes128-gcm@openssh.com,3des-cbc")


@fault("ssh-config", "failed")
def a_configuration_that_makes_no_sense(scene: Scene) -> dict[str, Any]:
    return scene.config(Port="often")


@fault("name", "failed")
def a_name_without_an_address(scene: Scene) -> dict[str, Any]:
    return scene.config(HostName="no-such-host.invalid")


@fault("tcp", "failed")
def nothing_listens(scene: Scene) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    return scene.config(HostName="127.0.0.1", Port=port)


@fault("tcp", "failed")
def the_network_is_down(scene: Scene) -> dict[str, Any]:
    scene.during(scene.lab.network.down())
    return {"connect_timeout": Duration(1)}


@fault("ssh-version", "failed")
def a_port_that_says_nothing(scene: Scene) -> dict[str, Any]:
    port = scene.undo.enter_context(listener(b""))
    return {"connect_timeout": Duration(1), **scene.config(HostName="127.0.0.1", Port=port)}


@fault("ssh-version", "failed")
def a_port_that_speaks_something_else(scene: Scene) -> dict[str, Any]:
    port = scene.undo.enter_context(listener(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"<p>no</p>" * 200))
    return scene.config(HostName="127.0.0.1", Port=port)


@fault("host-key", "failed")
def a_host_that_is_not_known(scene: Scene) -> dict[str, Any]:
    return scene.config(UserKnownHostsFile=scene.folder / "none")


@fault("host-key", "failed")
def a_host_whose_key_has_changed(scene: Scene) -> dict[str, Any]:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (scene.folder / "known").write_text(f"{scene.lab.address} {other}")
    return scene.config(UserKnownHostsFile=scene.folder / "known")


@fault("host-key", "failed")
def a_host_whose_key_is_revoked(scene: Scene) -> dict[str, Any]:
    lines = scene.lab.known_hosts.read_text().splitlines()
    (scene.folder / "revoked").write_text("".join(line.partition(" ")[2] + "\n" for line in lines))
    return scene.config(RevokedHostKeys=scene.folder / "revoked")


@fault("authentication", "failed")
def a_key_that_the_host_does_not_know(scene: Scene) -> dict[str, Any]:
    return only_key(scene, new_key(scene.folder))


@fault("authentication", "failed")
def a_key_with_a_passphrase_and_no_agent(scene: Scene) -> dict[str, Any]:
    own = scene.lab.accounts[scene.box.account].key
    assert own is not None
    locked = scene.folder / "locked"
    asyncssh.read_private_key(own).write_private_key(locked, passphrase="secret", rounds=1, ignore_few_rounds=True)
    locked.chmod(0o600)
    return only_key(scene, locked)


@fault("authentication", "warning")
def a_key_file_that_is_not_there(scene: Scene) -> dict[str, Any]:
    return scene.config(IdentityFile=scene.folder / "gone")


@fault("authentication", "warning")
def a_key_file_that_others_can_read(scene: Scene) -> dict[str, Any]:
    key = new_key(scene.folder)
    key.chmod(0o644)
    return scene.config(IdentityFile=key)


# What the login allows


@fault("login-shell", "warning")
def a_start_up_file_that_prints(scene: Scene) -> None:
    scene.root(
        f"echo 'echo Welcome' | cat - {scene.box.home}/.bashrc > /tmp/rc; cat /tmp/rc > {scene.box.home}/.bashrc"
    )


@fault("login-shell", "warning")
def a_start_up_file_that_complains(scene: Scene) -> None:
    scene.root(f"echo 'echo quota 93% >&2' > {scene.box.home}/.bashrc")


@fault("login-shell", "failed")
def an_account_without_commands(scene: Scene) -> None:
    scene.root(f"usermod -s /usr/sbin/nologin {scene.box.account}")


@fault("max-sessions", "warning")
def one_command_at_a_time(scene: Scene) -> None:
    scene.during(scene.lab.sshd(MaxSessions=1))


@fault("sftp", "warning")
def sftp_is_switched_off(scene: Scene) -> None:
    scene.during(scene.lab.sshd(Subsystem=None))


@fault("forwarding", "warning")
def forwarding_is_switched_off(scene: Scene) -> None:
    scene.during(scene.lab.sshd(DisableForwarding="yes"))


# Python


@fault("python", "failed")
def no_python(scene: Scene) -> dict[str, Any]:
    return {"python": "/opt/nowhere/bin/python"}


@fault("python", "failed")
def a_python_that_is_too_old(scene: Scene) -> dict[str, Any]:
    # It prints what the stub of keeper/shell_command.py prints in an old Python.
    script = """printf '\\n%s {} %s : 3 6 8\\n' "$3" "$0" """
    scene.program("python-old", script)
    return {"python": f"{scene.box.home}/fakes/python-old"}


@fault("versions", "failed")
def no_distributed(scene: Scene) -> dict[str, Any]:
    return {"python": "/usr/bin/python3"}


@fault("versions", "failed")
def an_old_distributed(scene: Scene) -> None:
    scene.box.run("mkdir -p site/distributed-2020.1.0.dist-info")
    scene.during(scene.lab.sshd(SetEnv=f"PYTHONPATH={scene.box.home}/site"))


@fault("versions", "warning")
def another_numpy(scene: Scene) -> None:
    scene.box.run("mkdir -p site/numpy-1.0.0.dist-info")
    scene.during(scene.lab.sshd(SetEnv=f"PYTHONPATH={scene.box.home}/site"))


# Folders


@fault("home", "failed")
def a_home_that_cannot_be_written(scene: Scene) -> None:
    scene.root(f"chmod 0500 {scene.box.home}", undo=f"chmod 0700 {scene.box.home}")


@fault("home", "warning")
def a_home_that_cannot_be_written_with_our_folder_elsewhere(scene: Scene) -> dict[str, Any]:
    a_home_that_cannot_be_written(scene)
    return {"folder": "/var/tmp/ours"}


@fault("folder", "failed")
def a_folder_that_cannot_be_written(scene: Scene) -> dict[str, Any]:
    return {"folder": "/etc/simmate-remote"}


@fault("home", "warning")
def a_home_that_is_nearly_full(scene: Scene) -> None:
    home_on_tmpfs(scene, "size=20m")


@fault("home", "warning")
def a_home_that_takes_few_more_files(scene: Scene) -> None:
    home_on_tmpfs(scene, "size=1g,nr_inodes=500")


@fault("home", "warning")
def a_quota_that_is_used_up(scene: Scene) -> None:
    scene.program("quota", "echo '/dev/sda1 204800* 204800 204800 0 812 0 0 0'")


@fault("folder", "warning")
def a_quota_of_200_megabytes(scene: Scene) -> None:
    home_on_tmpfs(scene, "size=200m")


@fault("scratch", "warning")
def a_scratch_that_cannot_be_written(scene: Scene) -> None:
    scene.during(scene.lab.sshd(SetEnv="SCRATCH=/etc"))


@fault("runtime-folder", "failed")
def no_folder_for_sockets(scene: Scene) -> None:
    scene.root("chmod 0755 /tmp /var/tmp /dev/shm", undo="chmod 1777 /tmp /var/tmp /dev/shm")


@fault("runtime-folder", "warning")
def a_folder_for_sockets_without_execution(scene: Scene) -> None:
    home = scene.box.home
    scene.root(f"mkdir {home}/t; mount -t tmpfs -o noexec,mode=1777 tmpfs {home}/t", undo=f"umount -l {home}/t")
    scene.during(scene.lab.sshd(SetEnv=f"TMPDIR={home}/t"))


# The machine


@fault("clock", "warning")
def a_clock_that_is_an_hour_ahead(scene: Scene) -> None:
    scene.during(scene.lab.clock(3600))


@fault("logout", "warning")
def processes_end_at_the_logout(scene: Scene) -> None:
    scene.root(
        "mkdir -p /etc/systemd/logind.conf.d; echo KillUserProcesses=yes > /etc/systemd/logind.conf.d/x.conf",
        undo="rm /etc/systemd/logind.conf.d/x.conf",
    )


@fault("logout", "warning")
def something_ends_what_runs_long(scene: Scene) -> None:
    scene.root("cp /bin/sleep /tmp/arbiter")
    restrainer = scene.lab.popen("root", ["/tmp/arbiter", "600"])
    scene.undo.callback(restrainer.wait, 10)
    scene.undo.callback(end_arbiter, scene.lab)


@fault("limits", "warning")
def few_open_files(scene: Scene) -> None:
    scene.box.run("echo 'ulimit -n 256' > .bashrc")


@fault("limits", "warning")
def little_processor_time(scene: Scene) -> None:
    scene.box.run("echo 'ulimit -t 1800' > .bashrc")


@fault("gpus", "warning")
def a_gpu_whose_driver_does_not_answer(scene: Scene) -> None:
    scene.program("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")


@fault("gpus", "warning")
def gpus_that_are_not_there(scene: Scene) -> dict[str, Any]:
    return {"workers": {"resources": {"GPU": 1.0}}}


@fault("login-node", "warning")
def a_login_node_of_a_cluster(scene: Scene) -> None:
    scene.program("sbatch", "exit 1")


@fault("workers", "warning")
def more_workers_than_processors(scene: Scene) -> dict[str, Any]:
    return {"workers": {"count": 500}}


@fault("workers", "warning")
def workers_that_want_more_memory_than_there_is(scene: Scene) -> dict[str, Any]:
    return {"workers": {"count": 1, "memory": Size.parse("100 TB")}}


@fault("database", "warning")
def a_python_without_what_the_database_needs(scene: Scene) -> dict[str, Any]:
    return {"python": "/usr/bin/python3"}


@fault("programs", "failed")
def a_program_that_is_missing(scene: Scene) -> dict[str, Any]:
    return {"programs": {"pw.x": "pw-of-nobody.x"}}


@fault("programs", "failed")
def a_program_that_may_not_be_executed(scene: Scene) -> dict[str, Any]:
    scene.box.run("echo '#!/bin/sh' > tool; chmod 644 tool")
    return {"programs": {"tool": "~/tool"}}


@fault("programs", "failed")
def data_that_is_missing(scene: Scene) -> dict[str, Any]:
    scene.box.run("mkdir pseudo")
    return {"programs": {"pseudopotentials": "~/pseudo"}}


@fault("leftovers", "warning")
def a_keeper_that_was_killed(scene: Scene) -> None:
    scene.box.run("mkdir -p /tmp/simmate-remote-0123456789ab; touch -d '1 hour ago' /tmp/simmate-remote-0123456789ab")
    scene.undo.callback(scene.box.run, "rm -rf /tmp/simmate-remote-0123456789ab")


@fault("round-trip", "warning")
def a_network_that_is_far_away(scene: Scene) -> None:
    scene.during(scene.lab.network.delay(350))
