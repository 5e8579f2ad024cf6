"""What the scripts of ``setup`` tell of a host, and how it is understood."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.environment.building import Plan
from simmate_remote.environment.platform_tags import HostPlatform
from simmate_remote.environment.shell import Answer
from simmate_remote.environment.store import Wheel
from simmate_remote.environment.survey import MINOR, understand

SCRIPTS = Path(__file__).parents[2] / "simmate_remote/environment/scripts"
OURS = ".".join(map(str, sys.version_info[:3]))

TOOLS = (
    "sh",
    "uname",
    "getconf",
    "df",
    "awk",
    "sed",
    "dirname",
    "readlink",
    "sha256sum",
    "dd",
    "gzip",
    "tar",
    "ldd",
    "cat",
)


def answer(*lines: str) -> Answer:
    return Answer(0, list(lines), "")


def looked_at(home: Path, *, path: str | None = None, python: str = "") -> Answer:
    """Run the real script with a home and a PATH of the test's own."""
    variables = f"folder='~/our folder'\nnonce=0123\nminor={MINOR}\npython='{python}'\n"
    text = variables + (SCRIPTS / "begin.sh").read_text() + (SCRIPTS / "survey.sh").read_text()
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(home), "PATH": path or os.environ["PATH"]},
        timeout=30,
    )
    return Answer(done.returncode, done.stdout.partition("\n0123\n")[2].splitlines(), done.stderr)


def test_a_host_is_understood() -> None:
    found = understand(
        answer(
            "machine aarch64",
            "hostname node 1",
            "libc musl 1.2.4",
            "folder /home/me/a b/simmate-remote",
            "writable yes",
            "free 1024",
            "environment environments/0123456789abcdef-12",
            "made 00ff tiny==1.0",
            "has Tiny_Thing 1.0",
            "has Other 2024.01",
            "uv 0.13.9",
            "python|3|8|10|cpython|0|0|PATH|/usr/bin/python3.8",
            f"python|{OURS.replace('.', '|')}|pypy|0|0|PATH|/opt/pypy/bin/python",
            f"python|{OURS.replace('.', '|')}|cpython|0|1|PATH|/opt/free threaded/bin/python",
            f"python|{OURS.replace('.', '|')}|cpython|1|0|named|/opt/with | bar/bin/python",
            "end yes",
        )
    )
    assert found.platform == HostPlatform("aarch64", "musl", (1, 2))
    assert found.folder == "/home/me/a b/simmate-remote"
    assert found.free == 1024 * 1024
    assert found.uv == ("0.13.9",)
    assert found.standing is not None
    assert found.standing.name == "0123456789abcdef-12"
    assert found.standing.found == {"tiny-thing": "1.0", "other": "2024.1"}
    assert [each.fits for each in found.interpreters] == [False, False, False, True]
    assert found.interpreter is not None
    assert found.interpreter.path == "/opt/with | bar/bin/python"


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    found = understand(looked_at(tmp_path))
    assert found.folder == f"{tmp_path}/our folder"
    assert found.writable
    assert found.free > 0
    assert found.standing is None
    assert not found.foreign
    assert found.lacking == ()
    assert list(tmp_path.iterdir()) == []  # it only looks


def test_a_python_that_is_named_is_the_only_one_that_counts(tmp_path: Path) -> None:
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").symlink_to(sys.executable)
    for name in ("~/env", "~/env/bin/python", f"{tmp_path}/env"):
        (found,) = understand(looked_at(tmp_path, python=name)).interpreters
        assert found.origin == "named"
        assert found.fits
    assert understand(looked_at(tmp_path, python="/nowhere")).interpreter is None


def test_a_python_of_the_module_system_is_found(tmp_path: Path) -> None:
    """The module system here is a stand-in: a file that defines `module`, as the real ones are."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        for place in ("/usr/bin", "/bin"):
            if Path(place, name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(Path(place, name))
    special = tmp_path / "modules/bin"
    special.mkdir(parents=True)
    (special / f"python{MINOR}").symlink_to(sys.executable)
    init = tmp_path / "init/init"
    init.mkdir(parents=True)
    (init / "sh").write_text(
        "module() {\n"
        "    case $* in\n"
        f"    '-t avail') printf '%s\\n' /opt/modules: gcc/12 python/2.7 'python/{OURS}(default)' >&2 ;;\n"
        f"    'load python/{OURS}') PATH={special}:$PATH ;;\n"
        "    esac\n"
        "}\n"
    )
    script = f"MODULESHOME={tmp_path}/init\n" + (SCRIPTS / "survey.sh").read_text().replace("/usr/bin/python3 ", "")
    text = f"folder='~/f'\nnonce=0123\nminor={MINOR}\npython=\n" + (SCRIPTS / "begin.sh").read_text() + script
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": str(tools)},
    )
    found = understand(Answer(0, done.stdout.partition("\n0123\n")[2].splitlines(), ""))
    assert [(each.origin, each.fits) for each in found.interpreters] == [("the module system", True)]


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\n\r"), max_size=40), max_size=8))
def test_noise_is_no_survey_and_raises_nothing_unexpected(lines: list[str]) -> None:
    found = understand(answer(*(line for line in lines if not line.startswith("python|"))))
    assert found.interpreters == ()


def wheel(name: str, version: str, sha256: str) -> Wheel:
    return Wheel(name, version, Path(f"{name}-{version}-py3-none-any.whl"), sha256, 10, 20)


def test_what_an_environment_is_made_of_names_it() -> None:
    plan = Plan((wheel("a", "1.0", "11"), wheel("b", "2.0", "22")), None)
    assert plan.digest == Plan(plan.wheels, None).digest
    assert plan.digest != Plan(plan.wheels, "/opt/python").digest
    assert plan.digest != Plan((wheel("a", "1.0", "33"), wheel("b", "2.0", "22")), None).digest
    assert plan.unpacked == 40
    there = ["made 11 a==1.0", "made 22 b==2.0", "has a 1.0", "has b 2.0"]
    name = f"environment environments/{plan.digest}-1"
    assert plan.is_there(understand(answer(name, *there)))
    assert not plan.is_there(understand(answer(name, "environment-broken yes", *there)))
    assert not plan.is_there(understand(answer("environment environments/other-1", *there)))
    assert plan.difference(understand(answer(name, "made 11 a==1.0", "made 23 b==2.0", "has b 2.0", "has c 1"))) == [
        "a is missing there and 1.0 here",
        "c is 1 there and not wanted",
        "b 2.0 is another build there",
    ]


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.stem)
def test_scripts_are_posix_and_use_no_word_that_only_one_shell_knows(script: Path) -> None:
    for shell in ("/bin/sh", "/bin/bash"):
        subprocess.run([shell, "-n", str(script)], check=True)
    assert "[[" not in script.read_text()
