"""All faults, in the order in which the matrix shows them."""

from __future__ import annotations

from faults import machine_faults, network_faults, process_faults, server_faults
from faults.fault import Fault, nothing

NOTHING_LOST = (
    Fault("sshd's child killed", server_faults.killed),
    Fault("sshd restarted, with all its connections", server_faults.restarted, seconds=2, quick_seconds=0.5),
    Fault("network down for {seconds}", network_faults.down, seconds=5, quick_seconds=2, needs_lab=True),
    Fault("network down for {seconds}", network_faults.down, seconds=60, quick_seconds=8, needs_lab=True),
    Fault("network down for {seconds}", network_faults.down, seconds=600, quick_seconds=0, needs_lab=True),
    Fault("silent drop: the firewall forgets the connection", network_faults.forgotten, needs_lab=True),
    Fault("0.5 % loss at 100 ms", nothing, conditions=network_faults.lossy, needs_lab=True),
    Fault("new address for the laptop", network_faults.new_address, needs_lab=True),
    Fault(
        "a NAT that drops idle connections, {seconds} of silence",
        nothing,
        seconds=40,
        quick_seconds=4,
        conditions=network_faults.forgets_idle,
        needs_lab=True,
        quiet=True,
    ),
    Fault("SIGSTOP of the session for {seconds}", process_faults.session_stopped, seconds=600, quick_seconds=13),
    Fault("SIGSTOP of the user's process for {seconds}", process_faults.user_stopped, seconds=600, quick_seconds=3),
    Fault(
        "buffers full both ways for {seconds}",
        network_faults.down,
        seconds=120,
        quick_seconds=4,
        needs_lab=True,
        up=80_000_000,
    ),
    Fault("one carrier killed, the login stays", server_faults.carrier_killed),
    Fault(
        "forwarding forbidden, and sshd's child killed",
        server_faults.killed,
        conditions=server_faults.forbids_forwarding,
        needs_lab=True,
    ),
    Fault(
        "MaxSessions 1, and sshd's child killed",
        server_faults.killed,
        conditions=server_faults.allows_one_session,
        needs_lab=True,
    ),
    Fault(
        "the host's clock a day ahead, and sshd's child killed",
        server_faults.killed,
        conditions=machine_faults.clock_wrong_by(machine_faults.DAY),
        needs_lab=True,
    ),
    Fault(
        "the host's clock a day behind, and sshd's child killed",
        server_faults.killed,
        conditions=machine_faults.clock_wrong_by(-machine_faults.DAY),
        needs_lab=True,
    ),
    Fault("somebody else wants the local ports", machine_faults.port_wanted, seconds=1, quick_seconds=0.5),
)
TOLD = (
    Fault(
        "kill -9 of the session",
        process_faults.session_killed,
        told=r"^SessionStoppedError: the session process, .* died",
    ),
    Fault(
        "kill -9 of the keeper",
        process_faults.keeper_killed,
        told=r"^KeeperGoneError: .*the keeper on the host died",
        ends_all=True,
    ),
    Fault("kill -9 of the scheduler", process_faults.scheduler_killed, told=r"^SchedulerError: .*died", ends_all=True),
    # What was scattered to it, and nothing else, cannot be computed again.
    Fault("kill -9 of a worker", process_faults.worker_killed, told=r"CancelledError: digest-", again=True),
    Fault(
        "the host's disk full",
        machine_faults.disk_full,
        seconds=1,
        quick_seconds=0.5,
        conditions=machine_faults.small_disk,
        needs_lab=True,
        told=r"^OSError: .*No space left on device",
    ),
)
