"""A task from its inputs to its data, and every way in which its program, its folder or its parameters can be bad."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import (
    CommandNotFoundError,
    InputMissingError,
    ProgramFailedError,
    TaskCancelledError,
    TaskDeclarationError,
    TaskError,
    TimeLimitError,
    UnsatisfiableError,
    ValidationFailedError,
    WorkflowError,
)
from simmate_remote.workflows.shell import Resources, ShellTask, Stage
from simmate_remote.workflows.shell.record import read_record
from tests.shell_tasks import Script, in_another_process, processes_with, wait_until


@dataclasses.dataclass
class Energy:
    value: float


class Sum(ShellTask[Energy]):
    """Adds numbers with awk."""

    command = ("awk", "{s += $1} END {{print s}}", "numbers.txt")

    def setup(self, folder: Path, numbers: list[float], factor: float = 1.0) -> None:
        (folder / "numbers.txt").write_text("".join(f"{number * factor}\n" for number in numbers))

    def workup(self, folder: Path) -> Energy:
        return Energy(float((folder / "stdout.txt").read_text()))


class Plain(Sum):
    command = "awk -f sum.awk numbers.txt"

    def setup(self, folder: Path, numbers: list[float], factor: float = 1.0) -> None:
        super().setup(folder, numbers, factor)
        (folder / "sum.awk").write_text("{s += $1} END {print s}")


def test_a_task_is_set_up_run_and_read(tmp_path: Path) -> None:
    assert Plain().run(tmp_path / "new" / "sum", numbers=[1, 2.5], factor=2) == Energy(7)


def test_parameters_become_what_the_annotations_say(tmp_path: Path) -> None:
    assert Plain().run(tmp_path / "a", numbers=["1", "2"], factor="0.5") == Energy(1.5)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "needs numbers"),
        ({"numbers": [1], "faktor": 2}, "no parameter 'faktor'; did you mean factor"),
        ({"numbers": [1, "x"]}, r"Plain: numbers\[1\] should be list\[float\]"),
        ({"numbers": [1], "factor": None}, "Plain: factor should be float"),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_written(
    tmp_path: Path, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(WorkflowError, match=said):
        Plain().run(tmp_path / "a", **parameters)
    assert not (tmp_path / "a").exists()


def test_a_task_without_setup_takes_no_parameters(tmp_path: Path) -> None:
    assert ShellTask(command="true").run(tmp_path / "a") is None
    with pytest.raises(WorkflowError, match="no parameter 'x'"):
        ShellTask(command="true").run(tmp_path / "b", x=1)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"command": ""}, "no command"),
        ({"command": "pw.x < in > out"}, "only a shell understands"),
        ({"command": "echo $HOME"}, "only a shell understands"),
        ({"command": "mpirun -n {rank} pw.x"}, "names {rank}"),
        ({"command": "echo {"}, "in the command"),
        ({"command": "echo 'a"}, "cannot be split"),
        ({"time_limit": "12 parsecs"}, "time_limit"),
        ({"time_limit": 0}, "time_limit"),
        ({"max_corrections": -1}, "max_corrections"),
        ({"remove": ("../*",)}, "does not lie in"),
        ({"remove": "*.txt"}, "a list of patterns"),
        ({"stdout": "/etc/motd"}, "does not lie in"),
        ({"existing": "overwrite"}, "'refuse' or 'continue'"),
        ({"handlers": (object(),)}, "no method check"),
    ],
)
def test_what_cannot_be_declared(tmp_path: Path, declared: dict[str, Any], said: str) -> None:
    with pytest.raises(TaskDeclarationError, match=said):
        Plain(**declared).run(tmp_path / "a", numbers=[1])


def test_an_unknown_declaration_is_refused() -> None:
    with pytest.raises(TaskDeclarationError, match="comand"):
        Plain(comand="x")


def test_a_command_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CommandNotFoundError, match="pw-of-tomorrow was not found"):
        Plain(command="pw-of-tomorrow -in x").run(tmp_path / "a", numbers=[1])
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("mode", [0o600, None])
def test_a_command_in_the_folder_that_cannot_be_executed(tmp_path: Path, mode: int | None) -> None:
    class Own(ShellTask[None]):
        command = "./program"

        def setup(self, folder: Path) -> None:
            if mode is not None:
                (folder / "program").write_text("#!/bin/sh\n")
                (folder / "program").chmod(mode)

    with pytest.raises(CommandNotFoundError, match=r"\./program cannot be started"):
        Own().run(tmp_path / "a")


def test_an_exit_code_is_told_with_the_end_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError) as caught:
        Script().run(tmp_path / "a", script="echo working; printf 'bad \\377 byte\\n' >&2; exit 7")
    assert "sh ended with exit code 7" in str(caught.value)
    assert "working" in str(caught.value)
    assert "bad \N{REPLACEMENT CHARACTER} byte" in str(caught.value)
    assert caught.value.folder == str(tmp_path / "a")
    assert caught.value.attempts == 1
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.state == "failed"
    assert record.attempts[0]["code"] == 7


@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM"])
def test_the_signal_that_ended_a_program_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProgramFailedError, match=f"ended by SIG{name}"):
        Script().run(tmp_path / "a", script=f"kill -{name} $$")


def test_other_exit_codes_can_mean_success(tmp_path: Path) -> None:
    assert Script(exit_codes=(0, 3)).run(tmp_path / "a", script="echo yes; exit 3") == "yes"


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"no POTCAR, no \*\.upf"):
        Script(files=("script.sh", "POTCAR", "*.upf")).run(tmp_path / "a", script="echo never")
    assert not (tmp_path / "a" / "stdout.txt").exists()


def test_a_missing_file_for_stdin_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"no answers\.txt"):
        Script(stdin="answers.txt").run(tmp_path / "a", script="cat")


def test_output_and_input_go_where_they_are_declared(tmp_path: Path) -> None:
    task = Script(command="cat", stdin="value.txt", stdout="both.txt", stderr="both.txt")
    with pytest.raises(FileNotFoundError):  # workup looks for the usual name
        task.run(tmp_path / "a", script="", value=5)
    assert (tmp_path / "a" / "both.txt").read_text() == "5\n"


def test_the_time_limit_ends_everything(tmp_path: Path) -> None:
    with pytest.raises(TimeLimitError, match=r"after 300 ms, its time limit"):
        Script(time_limit="300 ms").run(tmp_path / "a", script="echo begun; sleep 1234567 & setsid sleep 1234567; wait")
    assert not processes_with("sleep\0001234567")
    assert (tmp_path / "a" / "stdout.txt").read_text() == "begun\n"


def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    with pytest.raises(TimeLimitError):
        Script(time_limit=0.3, grace=0.2).run(tmp_path / "a", script="trap '' TERM; while :; do sleep 0.05; done")


def test_what_a_program_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    Script().run(tmp_path / "a", script="setsid sleep 2345671 > /dev/null 2>&1 & sleep 2345671 & echo done")
    assert not processes_with("sleep\0002345671")


def test_a_task_can_be_cancelled(tmp_path: Path) -> None:
    cancelled = threading.Event()

    def tell(stage: Stage) -> None:
        if stage.name == "running":
            cancelled.set()

    with pytest.raises(TaskCancelledError):
        Script().perform({"script": "sleep 3456712"}, tmp_path / "a", tell=tell, cancelled=cancelled)
    assert not processes_with("sleep\0003456712")
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.state == "interrupted"


def test_stages_and_progress_are_told(tmp_path: Path) -> None:
    class Steps(Script):
        def progress(self, folder: Path) -> dict[str, float]:
            return {"step": float((folder / "stdout.txt").read_text().split()[-1])}

    told: list[Stage] = []
    Steps().perform({"script": "for i in 1 2 3 4; do echo $i; sleep 0.4; done"}, tmp_path / "a", tell=told.append)
    names = [stage.name for stage in told]
    assert list(dict.fromkeys(names)) == ["setup", "waiting", "running", "correcting", "workup"]
    assert any(stage.values.get("step", 0) >= 2 for stage in told)


def test_progress_that_raises_costs_nothing(tmp_path: Path) -> None:
    class Early(Script):
        def progress(self, folder: Path) -> dict[str, float]:
            return {"step": float((folder / "later.txt").read_text())}

    outcome = Early().perform({"script": "sleep 1.2; echo fine"}, tmp_path / "a", tell=lambda stage: None)
    assert outcome.data == "fine"
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.attempts[0]["progress_failed"].startswith("FileNotFoundError")


def test_ctrl_c_ends_the_program_and_leaves_the_task_to_be_gone_on_with(tmp_path: Path) -> None:
    code = (
        "from tests.shell_tasks import Script\ntry: Script().run(sys.argv[1], script='touch begun; sleep 4321567')\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    with in_another_process(code, tmp_path / "a") as process:
        wait_until((tmp_path / "a" / "begun").exists)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert not processes_with("sleep\0004321567")
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.state == "interrupted"


def test_a_validator_finds_what_exit_code_0_hides(tmp_path: Path) -> None:
    class NoDots:
        def check(self, directory: str = "./") -> bool:
            return "..." in Path(directory, "stdout.txt").read_text()

    with pytest.raises(ValidationFailedError, match="NoDots finds the results wrong"):
        Script(validators=(NoDots(),)).run(tmp_path / "a", script="echo ...")
    assert Script(validators=(NoDots,)).run(tmp_path / "b", script="echo fine") == "fine"


def test_what_a_program_may_use_is_told_to_it(tmp_path: Path) -> None:
    script = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS [$CUDA_VISIBLE_DEVICES]; taskset -cp $$ | sed 's/.*: //'"
    outcome = Script(resources=Resources(cores=1)).perform({"script": script}, tmp_path / "a")
    first, second = outcome.data.splitlines()
    assert first == "1 1 []"
    assert int(second) in os.sched_getaffinity(0)
    command = "echo {cores} {ranks} {threads} {gpus} {memory}"
    task = Script(command=command, resources=Resources(threads=1, memory="1 MiB"))
    assert task.run(tmp_path / "b", script="") == "1 1 1 0 1048576"


def test_what_no_host_can_give_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnsatisfiableError, match=r"4000 cores, and there are \d+; for 3 GPUs, and there are 0"):
        Script(resources=Resources(ranks=1000, threads=4, gpus=3)).run(tmp_path / "a", script="echo")
    assert not (tmp_path / "a").exists()


def test_variables_of_a_task_reach_its_program_and_not_its_record(tmp_path: Path) -> None:
    task = Script(environment={"LICENCE": "s3cret", "OMP_NUM_THREADS": "7"})
    assert task.run(tmp_path / "a", script="echo $LICENCE $OMP_NUM_THREADS") == "s3cret 7"
    told = (tmp_path / "a" / ".simmate-remote" / "task.json").read_text()
    assert "s3cret" not in told


def test_an_error_of_setup_leaves_nothing_and_of_workup_does_not_cost_the_run(tmp_path: Path) -> None:
    class Odd(Script):
        broken = True

        def setup(self, folder: Path, script: str, value: int = 0) -> None:
            super().setup(folder, script, value)
            if value:
                raise RuntimeError("no such element")

        def workup(self, folder: Path) -> str:
            if self.broken:
                raise KeyError("energy")
            return super().workup(folder)

    with pytest.raises(RuntimeError, match="no such element"):
        Odd().run(tmp_path / "a", script="echo", value=1)
    assert os.listdir(tmp_path / "a") == [".simmate-remote"]
    task = Odd()
    with pytest.raises(KeyError):
        task.run(tmp_path / "b", script="echo x >> count.txt; echo fine")
    task.broken = False
    assert task.run(tmp_path / "b", script="echo x >> count.txt; echo fine") == "fine"
    assert (tmp_path / "b" / "count.txt").read_text() == "x\n"


@pytest.mark.slow
def test_a_gigabyte_on_both_streams(tmp_path: Path) -> None:
    script = "head -c 1000000000 /dev/zero & head -c 1000000000 /dev/zero >&2; wait"

    class Silent(Script):
        def workup(self, folder: Path) -> str:
            return str((folder / "stdout.txt").stat().st_size + (folder / "stderr.txt").stat().st_size)

    assert Silent(remove=("std*.txt",)).run(tmp_path / "a", script=script) == "2000000000"


def test_many_threads_perform_tasks_at_once(tmp_path: Path) -> None:
    found: dict[int, str] = {}
    task = Script(resources=Resources(shared=True))

    def perform(number: int) -> None:
        found[number] = task.run(tmp_path / str(number), script="cat value.txt", value=number)

    threads = [threading.Thread(target=perform, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: str(number) for number in range(12)}


def test_errors_travel(tmp_path: Path) -> None:
    import pickle

    with pytest.raises(ProgramFailedError) as caught:
        Script().run(tmp_path / "a", script="exit 1")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, TaskError)
    assert (type(again), again.what, again.folder) == (ProgramFailedError, caught.value.what, caught.value.folder)


def test_the_processes_of_a_task_end_with_it(tmp_path: Path) -> None:
    Script(environment={"MARKED": str(tmp_path)}).run(tmp_path / "a", script="echo")
    wait_until(lambda: not processes_with(f"MARKED={tmp_path}"))
