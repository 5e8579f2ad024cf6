"""The line for slots: nothing is given twice, nobody is starved, and what is free is not kept from who may have it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.workflows.shell.line import Claim, Has, distribute

CORES = (0, 1, 2, 3)
GPUS = ("0", "1")
MEMORY = 100

wants = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, MEMORY))


def claim(name: str, cores: int = 1, gpus: int = 0, memory: int = 0) -> Claim:
    return Claim(name, cores, gpus, memory, CORES, GPUS, MEMORY)


@given(st.lists(st.one_of(wants, st.integers(0, 30)), max_size=30))
def test_nothing_is_given_twice_and_the_first_in_line_waits_only_for_what_is_taken(steps: list[object]) -> None:
    line: list[Claim] = []
    for number, step in enumerate(steps):
        if isinstance(step, tuple):
            line.append(claim(str(number), *step))
        elif line:
            line.pop(step % len(line))  # type: ignore[operator]
        distribute(line)
        served = [each for each in line if each.has]
        cores = [core for each in served if each.has for core in each.has.cores]
        gpus = [gpu for each in served if each.has for gpu in each.has.gpus]
        assert len(cores) == len(set(cores)) == sum(each.cores for each in served)
        assert len(gpus) == len(set(gpus)) == sum(each.gpus for each in served)
        assert sum(each.memory for each in served) <= MEMORY
        first = next((each for each in line if not each.has), None)
        if first is not None:
            assert (
                first.cores > len(CORES) - len(cores)
                or first.gpus > len(GPUS) - len(gpus)
                or first.memory > MEMORY - sum(each.memory for each in served)
            )
        assert [Claim.from_record(json.loads(json.dumps(each.as_record()))) for each in line] == line


def test_small_ones_do_not_pass_a_large_one_that_waits_for_the_same() -> None:
    line = [claim("small"), claim("large", 4), claim("late")]
    assert distribute(line) == ["small"]
    del line[0]
    assert distribute(line) == ["large"]
    del line[0]
    assert distribute(line) == ["late"]


def test_who_wants_something_else_passes() -> None:
    line = [claim("gpu", 1, 2), claim("waits", 1, 1), claim("passes", 2), claim("too many", 1)]
    assert distribute(line) == ["gpu", "passes"]


def test_everyone_is_served_from_what_they_may_use() -> None:
    line = [Claim("pinned", 1, 0, 0, (3,), (), MEMORY), Claim("other", 1, 0, 0, (2, 3), (), MEMORY)]
    distribute(line)
    assert [each.has for each in line] == [Has((3,), ()), Has((2,), ())]
