"""From which lines an SSH configuration takes what it says: compared with what ``ssh -G`` makes of the same files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simmate_remote.doctor.config_lines import find_lines
from simmate_remote.link.target import parse_target

CONFIG = """\
# mine
User nobody-yet
Host lab-* !lab-old
  HostName lab.example.org
  Port 2222
Host lab-old
  HostName old.example.org
Match originalhost lab-box user nobody-yet
  IdentityFile ~/.ssh/lab
Match host *.example.org
  ForwardAgent yes
Match exec "false"
  Port 1
Host *
  Include {included}
  IdentityFile ~/.ssh/any
"""


def test_lines_and_their_files(tmp_path: Path) -> None:
    included = tmp_path / "included"
    included.write_text("Compression yes\nPort 1\n")
    config = tmp_path / "config"
    config.write_text(CONFIG.format(included=included))
    lines = find_lines(parse_target("lab-box"), config)
    said = {line.option: (line.value, line.file.name, line.number) for line in lines.applying}
    assert said == {
        "user": ("nobody-yet", "config", 2),
        "hostname": ("lab.example.org", "config", 4),
        "port": ("2222", "config", 5),
        "forwardagent": ("yes", "config", 11),
        "compression": ("yes", "included", 1),
        "identityfile": ("~/.ssh/any", "config", 16),
    }
    assert [line.value for line in lines.applying if line.option == "identityfile"] == ["~/.ssh/lab", "~/.ssh/any"]
    assert [line.number for line in lines.undecided] == [12]
    assert lines.files == [config, included]


def test_files_that_are_missing_or_include_themselves(tmp_path: Path) -> None:
    config = tmp_path / "config"
    assert find_lines(parse_target("lab"), config).applying == []
    config.write_text(f"Include {config}\nPort 5\n")
    port = find_lines(parse_target("lab"), config).get("port")
    assert port is not None
    assert port.value == "5"


NAMES = st.sampled_from(["lab", "lab-box", "other", "x.y"])
PATTERNS = st.lists(st.sampled_from(["lab", "lab*", "!lab", "*", "l?b", "x.*", "!lab-box"]), min_size=1, max_size=3)
SETTINGS = st.sampled_from(["User anne", "User bob", "Port 23", "Port 24", "HostName lab", "HostName x.y"])
HEADS = st.one_of(
    PATTERNS.map(lambda words: f"Host {' '.join(words)}"),
    PATTERNS.map(lambda words: f"Match originalhost {','.join(words)}"),
    PATTERNS.map(lambda words: f"Match host {','.join(words)}"),
    st.sampled_from(["Match all", "Match !originalhost lab", "Match user anne"]),
)
BLOCKS = st.lists(st.tuples(HEADS, st.lists(SETTINGS, max_size=3)), max_size=4)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh: apt-get install openssh-client")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=NAMES, blocks=BLOCKS)
def test_what_applies_is_what_ssh_takes(tmp_path: Path, name: str, blocks: list[tuple[str, list[str]]]) -> None:
    config = tmp_path / "config"
    config.write_text("".join(f"{head}\n" + "".join(f"  {line}\n" for line in lines) for head, lines in blocks))
    lines = find_lines(parse_target(name), config)
    printed = subprocess.run(
        ["ssh", "-G", "-F", str(config), "--", name], check=True, capture_output=True, text=True
    ).stdout
    resolved = dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)
    for option in ("hostname", "port", "user"):
        line = lines.get(option)
        if line is not None:
            assert resolved[option] == line.value
        elif option == "port":
            assert resolved[option] == "22"
