"""Whatever ends a session, in whatever way: nothing of ours stays, and whoever waits learns why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from distributed import Client, KilledWorker, fire_and_forget

from simmate_remote import RemoteCluster, connect
from simmate_remote.errors import KeeperGoneError, SchedulerError, SessionStoppedError
from simmate_remote.inventory import Host
from simmate_remote.inventory.runtime_folder import runtime_folder
from tests.boxes import Box
from tests.hosts import end_session, host_of, leave_session, pid_there, session_pid, travels, wait_until

SCRIPT = """
import os, signal, sys, time
from distributed import Client, KilledWorker, fire_and_forget
from distributed.client import FutureCancelledError
from simmate_remote import RemoteCluster
from simmate_remote.inventory import Host

host = Host.model_validate_json(sys.argv[1])

def main():
    cluster = RemoteCluster(host)
    client = Client(cluster)
    client.wait_for_workers(2)
    client.submit(time.sleep, 1000)
    client.submit(abs, -1).result()
    print("ready", flush=True)
    {ending}

if __name__ == "__main__":
    main()
"""


@travels
def sleep_for_ever() -> None:

    time.sleep(1000)


def nothing_left_here() -> bool:
    return not list(runtime_folder().glob("*.sock"))


def run_user(host: Host, ending: str) -> subprocess.Popen[bytes]:
    """Start a user's process that computes something, and wait until it does."""
    script = textwrap.dedent(SCRIPT).replace("{ending}", ending)
    process = subprocess.Popen(
        [sys.executable, "-c", script, host.model_dump_json()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.slow_in_the_lab
@pytest.mark.parametrize(
    ("box", "ending", "number"),
    [
        ("embedded", "raise SystemExit(3)", None),
        pytest.param("lab", "raise ValueError('oops')", None, marks=pytest.mark.lab),
        ("embedded", "time.sleep(1000)", signal.SIGINT),
        ("embedded", "time.sleep(1000)", signal.SIGTERM),
        ("embedded", "time.sleep(1000)", signal.SIGKILL),
        pytest.param("lab", "time.sleep(1000)", signal.SIGKILL, marks=pytest.mark.lab),
    ],
    indirect=["box"],
)
def test_everything_ends_with_the_process_that_made_it(box: Box, ending: str, number: signal.Signals | None) -> None:
    user = run_user(host_of(box), ending)
    if number is not None:
        user.send_signal(number)
    user.communicate(timeout=40)
    wait_until(lambda: not box.processes(), 15, "all processes on the host ended")
    wait_until(nothing_left_here, 10, "the session here ended")


@pytest.mark.slow_in_the_lab
def test_the_death_of_the_session_is_told_at_once_and_its_maker_clears_up(box: Box) -> None:
    host = host_of(box)
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        future = client.submit(sleep_for_ever)
        client.submit(abs, -1).result(timeout=30)
        os.kill(session_pid(host), signal.SIGKILL)
        with pytest.raises(SessionStoppedError, match="died without a word") as caught:
            future.result(timeout=30)
        assert "simmate-remote connect lab-box" in str(caught.value)
        wait_until(lambda: client.status == "closed", 10, "Dask's client gave up")
    wait_until(lambda: not box.processes(), 15, "all processes on the host ended")


@pytest.mark.slow_in_the_lab
def test_an_exception_in_the_block_ends_everything(box: Box) -> None:
    with (  # noqa: PT012
        pytest.raises(InterruptedError),
        RemoteCluster(host_of(box)) as cluster,
        Client(cluster) as client,
    ):
        client.submit(sleep_for_ever)
        raise InterruptedError
    wait_until(lambda: not box.processes(), 15, "all processes on the host ended")


@pytest.mark.slow_in_the_lab
def test_what_waits_for_a_task_that_hears_nothing_is_idle(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        client.submit(sleep_for_ever)
        client.submit(abs, -1).result(timeout=30)
        before = processor_times(box, "nanny of worker")
        assert len(before) == 2
        # Dask lets the worker have seconds, in which its nanny has nothing to do.
        ending, after = threading.Thread(target=cluster.close), before
        ending.start()
        while ending.is_alive():
            after = after | processor_times(box, "nanny of worker")
            ending.join(0.05)
    assert max(after[pid] - before[pid] for pid in before) < 0.5


def processor_times(box: Box, what: str) -> dict[int, float]:
    """Give the processor time in seconds that each process on a host has used, whose command line has a text."""
    pids = [pid for pid, argv in box.processes() if what in " ".join(argv)]
    lines = box.run("cat " + " ".join(f"/proc/{pid}/stat" for pid in pids)).stdout.splitlines() if pids else []
    fields = {int(line.split()[0]): line.rpartition(")")[2].split() for line in lines}
    return {pid: (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") for pid, words in fields.items()}


@pytest.mark.slow_in_the_lab
@pytest.mark.parametrize("what", ["scheduler", "nursery", "fork server", "guardian"])
def test_the_death_of_a_process_there_is_told_at_once_to_whoever_waits(box: Box, what: str) -> None:
    error: type[Exception] = KeeperGoneError if what == "guardian" else SchedulerError
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        future = client.submit(sleep_for_ever)
        client.submit(abs, -1).result(timeout=30)
        box.kill(victim(box, what), signal.SIGKILL)
        with pytest.raises(error, match="died") as caught:
            future.result(timeout=30)
        assert "simmate-remote connect lab-box" in str(caught.value)
    wait_until(lambda: not box.processes(), 15, "all processes on the host ended")


@pytest.mark.slow_in_the_lab
@pytest.mark.parametrize("what", ["scheduler", "nursery", "fork server"])
def test_connect_starts_afresh_what_died_while_nobody_was_there(box: Box, what: str) -> None:
    host = host_of(box)
    try:
        with connect(host) as lab:
            lab.client.wait_for_workers(2, timeout=30)
            before = set(lab.client.run(os.getpid).values())
            pid = victim(box, what)
            os.kill(session_pid(host), signal.SIGKILL)
        box.kill(pid, signal.SIGKILL)
        with connect(host) as lab:
            lab.client.wait_for_workers(2, timeout=30)
            assert not before & set(lab.client.run(os.getpid).values())
    finally:
        end_session(host)


def victim(box: Box, what: str) -> int:
    """Give the id of a process there; scheduler and nannies are children of the fork server."""
    if what != "fork server":
        return pid_there(host_of(box), what)
    return int(box.run(f"ps -o ppid= -p {pid_there(host_of(box), 'scheduler')}").stdout)


@pytest.mark.slow_in_the_lab
def test_connect_finds_what_a_killed_session_left_and_its_workers_go_on(box: Box) -> None:
    host = host_of(box)
    marker = f"/tmp/simmate-remote-test-{os.getpid()}-{box.name}"
    try:
        with connect(host) as lab:
            lab.client.wait_for_workers(2, timeout=30)
            before = lab.client.run(os.getpid)
            future = lab.client.submit(write_after, 3.0, marker)
            fire_and_forget(future)
            lab.client.submit(abs, -1).result(timeout=30)
            os.kill(session_pid(host), signal.SIGKILL)
        with connect(host) as lab:
            lab.client.wait_for_workers(2, timeout=30)
            assert lab.client.run(os.getpid) == before
            assert lab.client.submit(abs, -5).result(timeout=30) == 5
            wait_until(lambda: box.run(f"cat {marker}").stdout == "done", 20, "the task that was under way finished")
    finally:
        end_session(host)
        box.run(f"rm -f {marker}")
    assert box.logins() == 2


@travels
def write_after(seconds: float, marker: str) -> None:
    from pathlib import Path

    time.sleep(seconds)
    Path(marker).write_text("done")


@travels
def spawn_orphan() -> int:
    import subprocess

    return subprocess.Popen(["setsid", "sleep", "1000"], stdin=subprocess.DEVNULL).pid


@pytest.mark.slow_in_the_lab
def test_a_program_that_a_task_left_behind_ends_too(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        assert client.submit(spawn_orphan).result(timeout=30) > 0
        assert any("sleep 1000" in " ".join(argv) for _, argv in box.processes())
    wait_until(lambda: not box.processes(), 15, "the orphan ended")


def test_a_task_that_kills_every_worker_is_given_up_and_the_cluster_goes_on(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        with pytest.raises(KilledWorker):
            client.submit(os._exit, 1).result(timeout=50)
        assert client.submit(abs, -2).result(timeout=30) == 2


def test_a_nanny_that_dies_is_replaced(box: Box) -> None:
    with RemoteCluster(host_of(box, workers={"count": 1})) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=30)
        before = set(client.scheduler_info()["workers"])
        for pid in client.run(os.getpid, nanny=True).values():
            box.kill(pid, signal.SIGKILL)

        def another_came() -> bool:
            # The workers themselves are not asked: one may just be dying, and whoever dials it then waits for a minute.
            found = set(client.scheduler_info()["workers"])
            return bool(found) and not found & before

        wait_until(another_came, 30, "another worker came")
        assert client.submit(abs, -2).result(timeout=30) == 2


@pytest.mark.slow_in_the_lab
def test_what_was_meant_to_last_is_not_ended_by_a_cluster_that_finds_it(box: Box) -> None:
    host = host_of(box)
    with connect(host) as lab:
        lab.client.wait_for_workers(2, timeout=30)
        workers = lab.client.run(os.getpid)
    leave_session(host)
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        assert client.run(os.getpid) == workers
    with RemoteCluster(host, outlive=True) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        assert client.run(os.getpid) == workers
    end_session(host)


@pytest.mark.slow_in_the_lab
def test_nothing_is_written_outside_of_our_folder(box: Box) -> None:
    before = set(box.run("ls -A ~").stdout.split())
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.submit(abs, -1).result(timeout=30)
    after = set(box.run("ls -A ~").stdout.split())
    assert after - before <= {"simmate-remote"}
    modes = box.run("find ~/simmate-remote -perm /077").stdout
    assert modes == "", "files that others may read"


def test_a_lasting_session_is_not_ended_by_its_maker(box: Box, tmp_path: Path) -> None:
    host = host_of(box)
    with connect(host) as lab:
        assert lab.client.submit(abs, -1).result(timeout=30) == 1
    try:
        with RemoteCluster(host) as cluster, Client(cluster) as client:
            assert client.submit(abs, -3).result(timeout=30) == 3
        assert box.processes()
    finally:
        end_session(host)
