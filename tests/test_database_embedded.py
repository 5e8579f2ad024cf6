"""The embedded Postgres: there when it is needed, for its user alone, whatever is killed; gone when nobody uses it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import text

from simmate_remote import database
from simmate_remote.database.embedded.place import LONGEST_LOG, SOCKET, Place
from simmate_remote.errors import DatabaseFullError, DatabaseServerError
from tests.databases import place_in, server_of, supervisor_of
from tests.hosts import wait_until

COUNT = """
from sqlalchemy import text
from simmate_remote.database import engine
with engine.begin() as connection:
    connection.execute(text("INSERT INTO seen VALUES (1)"))
    print(connection.scalar(text("SELECT pg_postmaster_start_time()")), flush=True)
    {then}
"""


@pytest.fixture
def place(user_folders: Path) -> Place:
    return place_in(user_folders / "data")


@pytest.fixture
def short_lease(user_folders: Path) -> None:
    file = user_folders / "config" / "simmate-remote" / "database.yaml"
    file.parent.mkdir()
    file.write_text("lease: 500 ms\n")


@pytest.fixture
def engine(user_folders: Path) -> Iterator[sqlalchemy.Engine]:
    yield (engine := database.engine)
    engine.dispose()


def make_table(engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE seen (number int)"))


def count(engine: sqlalchemy.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM seen"))


def in_a_process(then: str = "pass") -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", COUNT.format(then=then)], stdout=subprocess.PIPE, text=True)


def test_only_its_user_gets_at_it_by_a_password_and_over_no_network(engine: sqlalchemy.Engine, place: Place) -> None:
    make_table(engine)
    sockets = place.socket_folder()
    assert sockets is not None
    for path in (place.folder, place.data, sockets, sockets / SOCKET, place.passwords, place.log):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    password = place.passwords.read_text().strip().rpartition(":")[2]
    with psycopg.connect(host=str(sockets), user="simmate", dbname="simmate", password=password) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
    for user, given in (("simmate", "wrong"), ("simmate", ""), ("postgres", password), ("postgres", "")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=str(sockets), user=user, dbname="simmate", password=given, passfile="/dev/null")
    processes = Path("/proc").glob("[0-9]*")
    seen = [part for each in processes for name in ("cmdline", "environ") if (part := read(each / name))]
    assert not [part for part in seen if password.encode() in part]
    assert password not in place.log.read_text()


def terminate(place: Place) -> None:
    number = supervisor_of(place)
    assert number is not None  # None is no process, and 0 would be this one and all that were started with it
    os.kill(number, signal.SIGTERM)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_processes_that_start_it_at_once_get_the_same_one(engine: sqlalchemy.Engine, place: Place) -> None:
    make_table(engine)
    engine.dispose()
    terminate(place)
    processes = [in_a_process() for _ in range(4)]
    said = {process.communicate(timeout=50)[0] for process in processes}
    assert len(said) == 1
    assert said != {""}
    assert count(engine) == 4


def test_it_stops_when_nobody_uses_it_also_when_its_user_was_killed(
    short_lease: None, engine: sqlalchemy.Engine, place: Place
) -> None:
    make_table(engine)
    engine.dispose()
    user = in_a_process("import time; time.sleep(100)")
    assert user.stdout is not None
    user.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        user.wait(1.5)
    assert supervisor_of(place) is not None
    sockets = place.socket_folder()
    assert sockets is not None
    user.kill()
    user.wait()
    user.stdout.close()
    wait_until(lambda: supervisor_of(place) is None, 20, "the end of the database")
    assert not sockets.exists()
    assert not place.address.exists()
    assert count(engine) == 0  # and it starts again


@pytest.mark.parametrize("victim", ["server", "supervisor", "both"])
def test_what_was_committed_is_there_after_a_kill_in_mid_transaction(
    victim: str, engine: sqlalchemy.Engine, place: Place
) -> None:
    make_table(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO seen VALUES (1)"))
    supervisor = supervisor_of(place)
    assert supervisor is not None
    numbers = {"server": [server_of(place)], "supervisor": [supervisor]}
    open_connection = engine.connect()
    open_connection.execute(text("INSERT INTO seen VALUES (2)"))
    for number in numbers.get(victim) or [*numbers["supervisor"], *numbers["server"]]:
        os.kill(number, signal.SIGKILL)
    wait_until(lambda: not read(Path(f"/proc/{numbers['server'][0]}/cmdline")), 20, "the end of the server")
    assert count(engine) == 1
    with pytest.raises(sqlalchemy.exc.OperationalError):
        open_connection.execute(text("INSERT INTO seen VALUES (3)"))
    open_connection.close()
    assert count(engine) == 1


def test_a_record_of_a_server_that_is_another_process_now_is_passed_over(
    engine: sqlalchemy.Engine, place: Place
) -> None:
    make_table(engine)
    lines = (place.data / "postmaster.pid").read_text().splitlines()
    terminate(place)
    wait_until(lambda: supervisor_of(place) is None, 20, "the end of the database")
    (place.data / "postmaster.pid").write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    assert count(engine) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a root folder of its own: run the tests as root")
def test_root_has_one_where_user_namespaces_are_forbidden(engine: sqlalchemy.Engine, place: Place) -> None:
    """As in a chroot; and the same data serve where they are allowed, before and after."""
    make_table(engine)
    owner = place.data.stat().st_uid
    engine.dispose()
    terminate(place)
    wait_until(lambda: supervisor_of(place) is None, 20, "the end of the database")
    command = [sys.executable, "-c", COUNT.format(then="pass")]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if "/" in mounts:  # otherwise these tests run in a chroot themselves
        root = place.folder.parents[2] / "root"
        root.mkdir()
        program = f'mount --rbind / {root}; chroot {root} "$@"'
        command = ["unshare", "--mount", "sh", "-ec", program, "sh", *command]
    subprocess.run(command, check=True, timeout=60)
    assert place.data.stat().st_uid != 0
    assert place.folder.stat().st_uid == 0
    assert count(engine) == 1, "who is outside uses the same server"
    for path in (place.folder, place.data, place.passwords):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    engine.dispose()
    terminate(place)
    wait_until(lambda: supervisor_of(place) is None, 20, "the end of the database")
    assert count(engine) == 1
    assert place.data.stat().st_uid == owner


def test_a_server_that_does_not_start_is_shown_with_its_words(engine: sqlalchemy.Engine, place: Place) -> None:
    make_table(engine)
    engine.dispose()
    terminate(place)
    wait_until(lambda: supervisor_of(place) is None, 20, "the end of the database")
    with (place.data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseServerError, match="does not start") as caught:
        count(engine)
    assert "no_such_setting" in str(caught.value)


def test_its_log_does_not_grow_without_end_while_it_runs(engine: sqlalchemy.Engine, place: Place) -> None:
    make_table(engine)
    with place.log.open("a") as file:
        file.write(f"{'x' * 99}\n" * (LONGEST_LOG // 100) + "the last before\n" * 10)
    wait_until(lambda: place.log.stat().st_size < LONGEST_LOG, 20, "a log that begins anew")
    old = place.log.with_suffix(".old")
    assert old.read_text().endswith("the last before\n")
    assert old.stat().st_size <= LONGEST_LOG
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    with pytest.raises(sqlalchemy.exc.ProgrammingError), engine.connect() as connection:
        connection.execute(text("SELECT no_such_thing"))
    wait_until(lambda: "no_such_thing" in place.log.read_text(), 10, "what the server says afterwards")
    assert "\0" not in place.log.read_text()


def test_a_folder_that_others_can_enter_is_refused(engine: sqlalchemy.Engine, place: Place) -> None:
    place.folder.mkdir(parents=True)
    place.folder.chmod(0o755)
    with pytest.raises(DatabaseServerError, match="not ours alone"):
        make_table(engine)


@pytest.mark.lab
def test_a_full_disk_is_said_and_nothing_is_lost(engine: sqlalchemy.Engine, place: Place) -> None:
    place.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m,mode=0700", "tmpfs", place.folder], check=True)
    try:
        make_table(engine)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO seen VALUES (1)"))
        subprocess.run(f"cat /dev/zero > {place.folder / 'filler'}", shell=True, stderr=subprocess.DEVNULL, check=False)
        with (
            pytest.raises((DatabaseFullError, sqlalchemy.exc.OperationalError)) as caught,
            engine.begin() as connection,
        ):
            connection.execute(text("INSERT INTO seen SELECT generate_series(1, 5000000)"))
        assert "space" in str(caught.value) or "closed the connection" in str(caught.value)
        (place.folder / "filler").unlink()
        assert count(engine) == 1
        engine.dispose()
    finally:
        if (number := supervisor_of(place)) is not None:
            os.kill(number, signal.SIGTERM)
        wait_until(lambda: supervisor_of(place) is None, 30, "the end of the database")
        subprocess.run(["umount", place.folder], check=True)
