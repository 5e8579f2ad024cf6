"""A remote machine as a Dask cluster: everything that a Dask cluster can do, over one login."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from multiprocessing import forkserver
from pathlib import Path

import pytest
from distributed import Client, Scheduler, Worker, WorkerPlugin, get_worker, wait

from simmate_remote import RemoteCluster, connect
from simmate_remote.errors import UnsatisfiableError, WorkersError
from tests.boxes import Box
from tests.hosts import end_session, host_of, travels, wait_until


@travels
def square(x: int) -> int:
    return x * x


@travels
def fail(text: str) -> None:
    raise LookupError(text)


def test_it_is_a_dask_cluster_over_exactly_one_login(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        assert client.gather(client.map(square, range(100))) == [x * x for x in range(100)]
        assert client.gather(client.map(len, [bytes(5_000_000)] * 3, pure=False)) == [5_000_000] * 3
        assert "lab-box" in repr(cluster)
        assert "127.0.0.1" in cluster.scheduler_address
        assert cluster.dashboard_link in cluster._repr_html_()
        assert client.dashboard_link == cluster.dashboard_link
        logs = cluster.get_logs()
        assert "Scheduler" in logs
        assert "logging in" in logs["Cluster"]
        assert len(logs) >= 4
    assert cluster.status.name == "closed"
    assert box.logins() == 1


@pytest.mark.slow_in_the_lab
def test_it_scales_up_and_down_and_adapts(box: Box) -> None:
    with RemoteCluster(host_of(box, workers={"count": 1})) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=30)
        cluster.scale(3)
        client.wait_for_workers(3, timeout=30)
        assert cluster.observed == {"worker-0", "worker-1", "worker-2"}
        cluster.scale(1)
        assert client.submit(square, 7).result(timeout=30) == 49
        assert len(client.scheduler_info()["workers"]) == 1
        cluster.adapt(minimum=0, maximum=2, interval="100 ms", wait_count=2)
        futures = client.map(slow_square, range(40))
        assert client.gather(futures) == [x * x for x in range(40)]


@travels
def slow_square(x: int) -> int:
    import time

    time.sleep(0.05)
    return x * x


@travels
def nothing_but_what_it_needs() -> bool:
    return "pandas" not in sys.modules and not forkserver._forkserver._lock.locked()  # type: ignore[attr-defined]


def test_a_nanny_has_only_what_it_needs_and_could_start_processes_of_its_own(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        assert all(client.run(nothing_but_what_it_needs, nanny=True).values())


async def test_it_can_be_used_asynchronously(box: Box) -> None:
    async with RemoteCluster(host_of(box), asynchronous=True) as cluster, Client(cluster, asynchronous=True) as client:
        assert await client.submit(square, 12) == 144
        await cluster.scale(1)


def test_a_function_that_raises_gives_its_remote_traceback(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        future = client.submit(fail, "no such structure")
        with pytest.raises(LookupError, match="no such structure") as caught:
            future.result(timeout=30)
        assert any(entry.name == "fail" for entry in caught.traceback)


def test_what_no_worker_could_ever_run_is_refused_at_once(box: Box) -> None:
    host = host_of(box, workers={"count": 1, "resources": {"GPU": 2}})
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        assert client.submit(square, 3, resources={"GPU": 2}).result(timeout=30) == 9
        for wanted in ({"GPU": 3}, {"TPU": 1}):
            with pytest.raises(UnsatisfiableError, match="asks for") as refused:
                client.submit(square, 4, resources=wanted).result(timeout=10)
            assert refused.value.remedies[0].command == "simmate-remote hosts show lab-box"
        assert client.submit(square, 5).result(timeout=30) == 25


@travels
def die_once(marker: str) -> str:
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), 9)
    return "survived"


def test_a_task_whose_worker_is_killed_is_tried_again(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        marker = f"/tmp/simmate-remote-test-{os.getpid()}-{box.name}"
        try:
            assert client.submit(die_once, marker).result(timeout=50) == "survived"
        finally:
            box.run(f"rm -f {marker}")


@travels
def write_much(size: int) -> int:
    line = "x" * 999 + "\n"
    for _ in range(size // 1000):
        sys.stderr.write(line)
        sys.stdout.write(line)
    return size


def test_output_of_tasks_goes_to_files_there_however_much_it_is(box: Box) -> None:
    with RemoteCluster(host_of(box, workers={"count": 1})) as cluster, Client(cluster) as client:
        assert client.submit(write_much, 20_000_000).result(timeout=50) == 20_000_000
        assert int(box.run(f"cat {host_folder(box)}/logs/*/worker-0.log | wc -c").stdout) > 40_000_000


def host_folder(box: Box) -> str:
    return f"'{box.home}'/simmate-remote"


VALUES = ["plain", "with space", "a'b\"c", "$HOME;`id`", "-n", "größer\tals", "two\nlines", ""]


@travels
def what_it_finds() -> tuple[list[str | None], int, dict[str, float]]:
    worker = get_worker()
    found = [os.environ.get(f"SIMMATE_TEST_{number}") for number in range(len(VALUES))]
    return found, worker.state.nthreads, dict(worker.state.total_resources)


def test_what_the_inventory_says_of_workers_arrives_byte_for_byte(box: Box) -> None:
    environment = {f"SIMMATE_TEST_{number}": value for number, value in enumerate(VALUES)}
    workers = {"count": 1, "threads": 2, "environment": environment, "resources": {"scratch disk": 1.5}}
    with RemoteCluster(host_of(box, workers=workers)) as cluster, Client(cluster) as client:
        assert client.submit(what_it_finds).result(timeout=30) == (VALUES, 2, {"scratch disk": 1.5})


def test_our_folder_may_have_any_name(box: Box) -> None:
    folder = '~/-n it\'s "odd"; $(touch never) größe'
    with RemoteCluster(host_of(box, folder=folder, workers={"count": 1})) as cluster, Client(cluster) as client:
        assert client.submit(square, 2).result(timeout=30) == 4
    listed = box.run("ls ~").stdout
    assert folder.removeprefix("~/") in listed
    assert "never\n" not in listed


def test_a_second_cluster_of_the_same_host_is_a_view_of_the_first(box: Box) -> None:
    host = host_of(box)
    with RemoteCluster(host) as first:
        with RemoteCluster(host) as second, Client(second) as client:
            first.scale(3)
            client.wait_for_workers(3, timeout=30)
            three = {"worker-0", "worker-1", "worker-2"}
            wait_until(lambda: first.observed == second.observed == three, 20, "both views know of three workers")
            assert client.submit(square, 6).result(timeout=30) == 36
            assert second.dashboard_link == first.dashboard_link
        with Client(first) as client:
            assert client.submit(square, 7).result(timeout=30) == 49
    assert box.logins() == 1


def test_a_connection_outlives_its_maker_and_is_joined_again(box: Box) -> None:
    host = host_of(box)
    try:
        with connect(host) as lab:
            wait(lab.client.submit(square, 2, key="kept"))
            lab.client.publish_dataset(kept=lab.client.submit(square, 11))
        with connect(host) as lab:
            assert lab.client.get_dataset("kept").result(timeout=30) == 121
    finally:
        end_session(host)
    assert box.logins() == 1


@pytest.mark.slow_in_the_lab
def test_the_dashboard_is_served_here_behind_a_token(box: Box) -> None:
    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(cluster.dashboard_link, timeout=30).close()  # leaves the cookie
        page = opener.open(cluster.dashboard_link.partition("/status")[0] + "/info/main/workers.html", timeout=30)
        assert "worker-0" in page.read().decode()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(cluster.dashboard_link.partition("?")[0], timeout=30)
        with caught.value as refused:
            assert refused.code == 403


@travels
def ends_over_data(dask_worker: Worker) -> None:
    """Let a worker end when data is sent to it, before it answers."""
    import os
    import signal

    dask_worker.handlers["update_data"] = lambda **_: os.kill(os.getpid(), signal.SIGKILL)


@travels
def loses_who_has_answered(dask_scheduler: Scheduler) -> None:
    """Let a worker end that was just sent data, after it answered and before the scheduler notes it; once."""
    from distributed import scheduler

    send = scheduler.scatter_to_workers

    async def send_and_lose(workers: list[str], *further: object, **options: object) -> object:
        scheduler.scatter_to_workers = send
        answer = await send(workers, *further, **options)
        await dask_scheduler.remove_worker(workers[0], stimulus_id="test")
        return answer

    scheduler.scatter_to_workers = send_and_lose


@travels
def kept(dask_worker: Worker) -> list[str]:
    return list(dask_worker.data)


@pytest.mark.parametrize("answers", [True, False])
def test_data_goes_to_another_worker_when_one_ends_that_takes_it(box: Box, *, answers: bool) -> None:
    with RemoteCluster(host_of(box, workers={"count": 3})) as cluster, Client(cluster) as client:
        client.wait_for_workers(3, timeout=30)
        if answers:
            client.run_on_scheduler(loses_who_has_answered)
        else:
            client.run(ends_over_data, workers=list(client.scheduler_info()["workers"])[:1])
        values = list(range(100, 112))
        futures = client.scatter(values, direct=False, hash=False)
        assert client.gather(futures) == values
        # What workers took in the attempt that failed is not kept for nothing.
        names = sorted(future.key for future in futures)
        wait_until(
            lambda: sorted(key for keys in client.run(kept, on_error="ignore").values() for key in keys) == names,
            seconds=30,
            what="each value is kept once",
        )


def test_data_that_ends_every_worker_is_told_and_so_is_a_worker_that_is_not_there(box: Box) -> None:
    class EndsOverData(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Worker) -> None:
            ends_over_data(worker)

    with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        with pytest.raises(WorkersError, match=r"'tls://127\.0\.0\.1:1', and there is no such worker") as unknown:
            client.scatter("value", workers=["tls://127.0.0.1:1"], direct=False)
        assert unknown.value.remedies[0].command == "simmate-remote logs lab-box"
        client.register_plugin(EndsOverData())
        with pytest.raises(WorkersError, match="3 workers ended, one after another, while they took data") as ended:
            client.scatter("value", direct=False, timeout=60)
        assert ended.value.remedies[0].command == "simmate-remote logs lab-box"
        client.wait_for_workers(1, timeout=30)
        assert client.submit(square, 7).result(timeout=30) == 49
