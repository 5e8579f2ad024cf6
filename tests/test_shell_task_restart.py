"""Tasks that were interrupted: killed, without a worker, half set up, half corrected; and two attempts at once."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import FolderBusyError, FolderFullError, FolderNotEmptyError, ProgramFailedError, TaskError
from simmate_remote.workflows.shell.keeping import attempt_folder
from simmate_remote.workflows.shell.record import Record, read_record
from tests.shell_tasks import (
    Raises,
    Script,
    at_least,
    in_another_process,
    kill,
    processes_in,
    processes_with,
    wait_until,
)

COUNT = "from tests.test_shell_task_restart import Counts; Counts().run(sys.argv[1], last=int(sys.argv[2]))"


class Counts(Script):
    """Counts up to a number in its own checkpoint, slowly, and can go on from there."""

    command = ("sh", "count.sh")

    def setup(self, folder: Path, last: int, start: int = 0) -> None:  # type: ignore[override]
        (folder / "count.sh").write_text(
            "n=$(cat from.txt)\n"
            f"while [ $n -lt {last} ]; do n=$((n+1)); echo $n > next; mv next checkpoint; sleep 0.02; done\n"
            "echo from $(cat from.txt) to $n\n"
        )
        (folder / "from.txt").write_text(f"{start}\n")

    def restart(self, folder: Path, last: int) -> bool:  # type: ignore[override]
        checkpoint = folder / "checkpoint"
        if not checkpoint.exists() or not checkpoint.read_text().strip():
            return False
        checkpoint.replace(folder / "from.txt")
        return True


class Forgets(Counts):
    """The same, without a checkpoint; the program spoils its own input."""

    def setup(self, folder: Path, last: int, start: int = 0) -> None:  # type: ignore[override]
        super().setup(folder, last, start)
        script = (folder / "count.sh").read_text()
        (folder / "count.sh").write_text(script.replace("\nwhile", "\necho spoilt > from.txt\nwhile", 1))

    def restart(self, folder: Path) -> bool:  # type: ignore[override]
        return False


def record_of(folder: Path) -> Record:
    """Give the record of a folder, which must be there."""
    found = read_record(folder)
    assert found is not None
    return found


def running(folder: Path) -> bool:
    found = read_record(folder)
    return found is not None and found.state == "running" and bool(found.attempts) and (folder / "checkpoint").exists()


def test_a_task_whose_worker_was_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with in_another_process(COUNT, folder, 500) as worker:
        wait_until(lambda: running(folder))
        kill(worker)
    wait_until(lambda: not processes_in(folder))
    reached = int((folder / "checkpoint").read_text())
    (folder / "count.sh").write_text((folder / "count.sh").read_text().replace("sleep 0.02", ":"))
    assert Counts().run(folder, last=500) == f"from {reached} to 500"
    record = record_of(folder)
    assert [one.get("restart") for one in record.attempts] == [True, None]
    assert attempt_folder(folder, 1).is_dir()


def test_the_program_of_a_killed_worker_is_ended_at_once_and_all_it_started(tmp_path: Path) -> None:
    code = "from tests.shell_tasks import Script; Script(grace=0.5).run(sys.argv[1], script=sys.argv[2])"
    script = "setsid sleep 5671234 & (trap '' TERM HUP; sleep 5671234) & sleep 5671234"
    with in_another_process(code, tmp_path / "a", script) as worker:
        wait_until(lambda: len(processes_with("sleep\0005671234")) == 3)
        kill(worker)
    wait_until(lambda: not processes_with("sleep\0005671234"))


def test_a_killed_worker_with_a_forked_child_is_noticed_all_the_same(tmp_path: Path) -> None:
    code = (
        "import os, time, threading\nfrom tests.shell_tasks import Script\n"
        "threading.Thread(target=lambda: Script().run(sys.argv[1], script='sleep 6712345')).start()\n"
        "time.sleep(1.5)\nchild = os.fork()\n"
        # The child has 0, which as a process to be killed would be everybody here.
        "if child:\n    print(child, flush=True)\ntime.sleep(60)"
    )
    with in_another_process(code, tmp_path / "a") as worker:
        assert worker.stdout is not None
        lines = iter(worker.stdout)
        child = int(next(lines))
        try:
            assert processes_with("sleep\0006712345")
            kill(worker)
            wait_until(lambda: not processes_with("sleep\0006712345"))
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_guardian_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    import psutil

    errors: list[BaseException] = []

    def perform() -> None:
        try:
            Script().run(tmp_path / "a", script="sleep 7123456 & setsid sleep 7123456 & wait")
        except TaskError as error:
            errors.append(error)

    thread = threading.Thread(target=perform)
    thread.start()
    wait_until(lambda: len(processes_with("sleep\0007123456")) == 2)
    wait_until(lambda: record_of(tmp_path / "a").attempts)
    program = psutil.Process(record_of(tmp_path / "a").attempts[0]["pid"])
    program.parent().kill()
    thread.join(20)
    wait_until(lambda: not processes_with("sleep\0007123456"))
    assert "was killed" in str(errors[0])
    assert Script().run(tmp_path / "b", script="echo and on") == "and on"


def test_a_supervisor_ends_with_its_process_also_after_a_guardian_was_killed(tmp_path: Path) -> None:
    import psutil

    code = """
from tests.shell_tasks import Script
try:
    Script(grace=0.2).run(sys.argv[1] + "/a", script="sleep 7123457 & wait")
except Exception as error:
    print(error, flush=True)
print(Script().run(sys.argv[1] + "/b", script="echo and on"))
"""
    with in_another_process(code, tmp_path) as worker:
        wait_until(lambda: processes_with("sleep\0007123457"))
        wait_until(lambda: read_record(tmp_path / "a") and record_of(tmp_path / "a").attempts)
        program = psutil.Process(record_of(tmp_path / "a").attempts[0]["pid"])
        guardian = program.parent()
        supervisor = guardian.parent()
        guardian.kill()
        said = worker.communicate(timeout=30)[0]
    assert "was killed" in said
    assert "and on" in said
    wait_until(lambda: not supervisor.is_running())
    assert not processes_with("sleep\0007123457")


def test_a_supervisor_that_is_killed_is_replaced(tmp_path: Path) -> None:
    from simmate_remote.workflows.shell.programs import _own

    assert Script().run(tmp_path / "a", script="echo 1") == "1"
    assert _own._supervisor is not None
    os.kill(_own._supervisor.pid, signal.SIGKILL)
    assert Script().run(tmp_path / "b", script="echo 2") == "2"


def test_without_a_checkpoint_the_attempt_begins_again_with_its_own_inputs(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    code = COUNT.replace("Counts", "Forgets")
    with in_another_process(code, folder, 500) as worker:
        wait_until(lambda: running(folder) and (folder / "from.txt").read_text() == "spoilt\n")
        kill(worker)
    wait_until(lambda: not processes_in(folder))
    (folder / ".simmate-remote/inputs/count.sh").unlink()  # as if a copy was lost: then it is set up afresh
    with in_another_process(code, folder, 500) as worker:
        wait_until(lambda: len(record_of(folder).attempts) == 2 and (folder / "from.txt").read_text() == "spoilt\n")
        kill(worker)
    wait_until(lambda: not processes_in(folder))
    assert (folder / ".simmate-remote/inputs/from.txt").read_text() == "0\n"
    with in_another_process(code, folder, 500) as worker:
        wait_until(lambda: len(record_of(folder).attempts) == 3)


class Torn(Counts):
    """The same; its program cannot read the checkpoint that it was killed at."""

    def setup(self, folder: Path, last: int, start: int = 0) -> None:  # type: ignore[override]
        super().setup(folder, last, start)
        script = (folder / "count.sh").read_text()
        (folder / "count.sh").write_text('[ "$(cat from.txt)" = 0 ] || { echo end of file; exit 139; }\n' + script)


def test_a_checkpoint_that_is_no_good_is_not_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with in_another_process(COUNT.replace("Counts", "Torn"), folder, 100) as worker:
        wait_until(lambda: running(folder) and int((folder / "checkpoint").read_text() or 0) > 10)
        kill(worker)
    wait_until(lambda: not processes_in(folder))
    assert Torn().run(folder, last=100) == "from 0 to 100"
    attempts = record_of(folder).attempts
    assert [one.get("restart") for one in attempts] == [True, None, None]
    assert "exit code 139" in attempts[1]["restart_failed"]
    for number in (1, 2):
        assert attempt_folder(folder, number).is_dir()


def test_what_was_corrected_before_an_interruption_stays_corrected(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    script = at_least(1) + "; if [ ! -e go ]; then touch begun; sleep 30; fi"
    code = "from tests.shell_tasks import *; Script(handlers=(Raises(),)).run(sys.argv[1], script=sys.argv[2])"
    with in_another_process(code, folder, script) as worker:
        wait_until((folder / "begun").exists)
        kill(worker)
    wait_until(lambda: not processes_in(folder))
    (folder / "go").touch()
    outcome = Script(handlers=(Raises(),)).perform({"script": script}, folder)
    assert outcome.data == "got 1"
    assert outcome.attempts == 3
    assert len(outcome.corrections) == 1


def test_a_handler_that_is_killed_halfway_leaves_no_half_corrected_input(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    code = """
import os, signal
from tests.shell_tasks import *
class Dies(Raises):
    def correct(self, directory="./"):
        Path(directory, "value.txt").write_text("7 and hal")
        os.kill(os.getpid(), signal.SIGKILL)
Script(handlers=(Dies(),)).run(sys.argv[1], script=sys.argv[2])
"""
    with in_another_process(code, folder, at_least(1)) as worker:
        worker.wait(20)
    assert (folder / "value.txt").read_text() == "7 and hal"
    assert record_of(folder).state == "correcting"
    outcome = Script(handlers=(Raises(),)).perform({"script": at_least(1)}, folder)
    assert outcome.data == "got 1"
    assert outcome.corrections[0].difference.splitlines()[-2:] == ["-0", "+1"]


def test_a_setup_with_other_parameters_that_is_killed_halfway(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert Script().run(folder, script="cat value.txt", value=1) == "1"
    code = """
import os, signal
from tests.shell_tasks import Script
from simmate_remote.workflows.shell import staging
staging.os = type("os", (), {**vars(os), "replace": staticmethod(lambda *_: os.kill(os.getpid(), signal.SIGKILL))})
Script(existing="continue").run(sys.argv[1], script="cat value.txt", value=2)
"""
    with in_another_process(code, folder) as worker:
        worker.wait(20)
    assert record_of(folder).state == "setup"
    assert Script(existing="continue").run(folder, script="cat value.txt", value=2) == "2"


@pytest.mark.parametrize("moved", [0, 1])
def test_a_setup_that_is_killed_halfway_leaves_no_half_written_input(tmp_path: Path, moved: int) -> None:
    folder = tmp_path / "a"
    code = f"""
import os, signal
from tests.shell_tasks import Script
from simmate_remote.workflows.shell import staging
replace, moves = os.replace, []
def dies(source, target):
    if len(moves) == {moved}: os.kill(os.getpid(), signal.SIGKILL)
    moves.append(replace(source, target))
staging.os = type("os", (), {{**vars(os), "replace": staticmethod(dies)}})
Script().run(sys.argv[1], script="cat value.txt", value=3)
"""
    with in_another_process(code, folder) as worker:
        worker.wait(20)
    assert record_of(folder).state == "setup"
    assert Script().run(folder, script="cat value.txt", value=3) == "3"


def test_two_attempts_never_work_in_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with in_another_process(COUNT, folder, 500) as worker:
        wait_until(lambda: running(folder))
        with pytest.raises(FolderBusyError, match=f"process {worker.pid} on .* works in"):
            Counts().run(folder, last=500)
        assert worker.poll() is None
        kill(worker)


def test_a_dead_attempt_is_waited_for_until_its_program_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    code = "from tests.shell_tasks import Script; Script(grace=1.5).run(sys.argv[1], script=sys.argv[2])"
    script = "if [ ! -e second ]; then trap 'echo > late' TERM; touch second; while :; do sleep 0.05; done; fi; ls late"
    with in_another_process(code, folder, script) as worker:
        wait_until((folder / "second").exists)
        kill(worker)
        assert Script(grace=1.5).run(folder, script=script) == "late"


def test_what_a_dead_attempt_has_left_is_ended_first(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with pytest.raises(ProgramFailedError):
        Script().run(folder, script="exit 1")
    lock = folder / ".simmate-remote" / "lock"
    from simmate_remote.keeper.host.record import boot_id

    mark = "0123456789abcdef"
    left = subprocess.Popen(["sleep", "8123456"], env={**os.environ, "SIMMATE_REMOTE_TASK": mark})
    owner = {"host": os.uname().nodename, "boot": boot_id(), "pid": 2**22 + 1, "started": "1", "since": 0, "mark": mark}
    lock.write_text(json.dumps(owner))
    with pytest.raises(ProgramFailedError):
        Script().run(folder, script="exit 1")
    assert left.wait(10) == -signal.SIGTERM


def test_where_there_are_no_locks_the_owner_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simmate_remote.keeper.host.record import boot_id
    from simmate_remote.runs.host import lock as module

    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    fake = type("fcntl", (), {**vars(fcntl), "flock": staticmethod(refuse)})
    monkeypatch.setattr(module, "fcntl", fake)
    folder = tmp_path / "a"
    own = folder / ".simmate-remote"
    own.mkdir(parents=True)
    started = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[19]
    alive = {"host": os.uname().nodename, "boot": boot_id(), "pid": os.getppid(), "started": started, "since": 0}
    elsewhere = {**alive, "host": "node7", "pid": 1}
    dead = {**alive, "started": "12"}
    before = {**alive, "boot": "another start"}
    for owner, free in ((alive, False), (elsewhere, False), (dead, True), (before, True)):
        (own / "lock").write_text(json.dumps({**owner, "mark": "00"}))
        if free:
            assert Script().run(folder, script="echo 1") == "1"
        else:
            with pytest.raises(FolderBusyError):
                Script().run(folder, script="echo 1")
    (own / "lock").write_text(json.dumps({**elsewhere, "mark": "00"}))
    os.utime(own / "lock", (0, 0))
    assert Script().run(folder, script="echo 1") == "1"


def test_going_on_by_hand_with_other_parameters(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert Counts().run(folder, last=5) == "from 0 to 5"
    with pytest.raises(FolderNotEmptyError, match="another value of last"):
        Counts().run(folder, last=8)
    outcome = Counts(existing="continue").perform({"last": 8}, folder)
    assert outcome.data == "from 5 to 8"
    assert outcome.attempts == 2
    assert attempt_folder(folder, 1).is_dir()


def test_a_failed_task_can_be_tried_again_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    script = "cat licence || exit 5"
    with pytest.raises(ProgramFailedError):
        Script().run(folder, script=script)
    (folder / "licence").write_text("bought")
    assert Script().run(folder, script=script) == "bought"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"task": 1}'])
def test_a_record_that_cannot_be_read_is_not_gone_on_from(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "a"
    with pytest.raises(ProgramFailedError):
        Script().run(folder, script="exit 1")
    (folder / ".simmate-remote/task.json").write_text(content)
    with pytest.raises(FolderNotEmptyError, match="already"):
        Script().run(folder, script="exit 1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """Give a folder that has room for 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.lab
def test_a_full_disk_is_told_as_such(small_disk: Path) -> None:
    class Large(Script):
        def setup(self, folder: Path, script: str, value: int = 0) -> None:
            super().setup(folder, script)
            (folder / "large").write_bytes(bytes(value))

    with pytest.raises(FolderFullError, match="cannot be written: No space left"):
        Large().run(small_disk / "a", script="echo", value=1_000_000)
    with pytest.raises(FolderFullError, match=r"(?i)no space left"):
        Large().run(small_disk / "b", script="head -c 1000000 /dev/zero > out || exit 1", value=0)
