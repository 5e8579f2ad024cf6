"""What changed in a folder: told by content, shown as a diff, and kept so that it can be put back."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.workflows.shell.contents import changed, differences, read_contents, state_of
from simmate_remote.workflows.shell.keeping import attempt_folder, restore_inputs, save_attempt, save_inputs
from simmate_remote.workflows.shell.own_folder import own_folder

names = st.sampled_from(["INCAR", "POSCAR", "out/density", "out/deep/er.xml", "with space", "ü.txt"])
folders = st.dictionaries(names, st.binary(max_size=200))


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@given(folders, folders)
def test_what_changed_is_what_says_something_else(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        fill(Path(one), before)
        fill(Path(other), after)
        old, new = read_contents(Path(one)), read_contents(Path(other))
        names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        assert changed(old, new) == names
        told = differences(old, new)
        assert all(name in told for name in names if before.get(name) and after.get(name))
        if not names:
            assert told == ""
            assert state_of(old, before) == state_of(new, after)


@given(folders, folders)
def test_inputs_are_put_back_as_they_were_or_not_at_all(inputs: dict[str, bytes], spoilt: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        own_folder(folder).mkdir()
        fill(folder, inputs)
        digests = save_inputs(folder, inputs)
        fill(folder, spoilt)
        assert restore_inputs(folder, digests)
        assert {name: (folder / name).read_bytes() for name in inputs} == inputs
        for name in inputs:
            fill(folder, spoilt)
            found = {one: (folder / one).read_bytes() for one in inputs}
            copy = own_folder(folder) / "inputs" / name
            copy.write_bytes(copy.read_bytes() + b"torn")
            assert not restore_inputs(folder, digests)
            assert {one: (folder / one).read_bytes() for one in inputs} == found


@given(folders, folders)
def test_the_state_of_each_attempt_is_kept(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        own_folder(folder).mkdir()
        fill(folder, first)
        assert save_attempt(folder, 1) == []
        fill(folder, second)
        save_attempt(folder, 2)
        for number, files in ((1, first), (2, {**first, **second})):
            kept = attempt_folder(folder, number)
            found = {
                str(path.relative_to(kept)).removesuffix(".gz"): gzip.decompress(path.read_bytes())
                for path in kept.rglob("*.gz")
            }
            assert found == files
