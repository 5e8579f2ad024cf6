"""Reading and extending known_hosts, as OpenSSH understands it."""

from __future__ import annotations

import base64
import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.link.keys import is_encrypted
from simmate_remote.link.known_hosts import HostName, KnownHosts, Standing, append_key, fingerprint, matches, read_keys
from simmate_remote.link.text import printable

KIND = "ssh-ed25519"


def blob(content: bytes, kind: str = KIND) -> bytes:
    return len(kind).to_bytes(4, "big") + kind.encode() + len(content).to_bytes(4, "big") + content


ONE, TWO = blob(b"1" * 32), blob(b"2" * 32)
names = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
ports = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ("box", "box", True),
        ("BOX", "box", True),
        ("box", "boxes", False),
        ("a,box", "box", True),
        ("*.edu", "x.edu", True),
        ("*.edu,!x.edu", "x.edu", False),
        ("!x.edu", "y.edu", False),
        ("b?x", "box", True),
        ("b.x", "box", False),
        ("[box]:23", "[box]:23", True),
        ("[b*]:*", "[box]:23", True),
        ("box", "[box]:23", False),
        ("|1|wrong", "box", False),
        ("|1|?|?", "box", False),
        ("|2|AAAA|AAAA", "box", False),
    ],
)
def test_patterns(patterns: str, name: str, expected: bool) -> None:
    assert matches(patterns, name) is expected


@given(names, ports, st.booleans())
def test_a_key_that_is_added_is_known(
    tmp_path_factory: pytest.TempPathFactory, name: str, port: int, hashed: bool
) -> None:
    file = tmp_path_factory.mktemp("keys") / "known_hosts"
    host = HostName(name, port)
    assert append_key(file, host, KIND, ONE, hashed=hashed)
    assert not append_key(file, host, KIND, ONE, hashed=hashed)
    assert file.read_text().count("\n") == 1
    known = KnownHosts.read(host, [file])
    assert known.judge(KIND, ONE).standing is Standing.KNOWN
    assert known.judge(KIND, TWO).standing is Standing.CHANGED
    assert known.judge("ssh-rsa", blob(b"", "ssh-rsa")).standing is Standing.UNKNOWN
    other = KnownHosts.read(HostName(name + "x", port), [file])
    assert other.judge(KIND, TWO).standing is Standing.UNKNOWN


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: apt-get install openssh-client")
@pytest.mark.parametrize("hashed", [False, True])
def test_ssh_keygen_finds_what_we_wrote_and_we_what_it_hashed(tmp_path: Path, hashed: bool) -> None:
    file = tmp_path / "known_hosts"
    host = HostName("box.uni.edu", 2222)
    append_key(file, host, KIND, ONE, hashed=hashed)
    command = ["ssh-keygen", "-f", file, "-F", str(host), "-l"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert fingerprint(ONE) in found.stdout
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], capture_output=True, check=True)
    assert KnownHosts.read(host, [file]).judge(KIND, ONE).standing is Standing.KNOWN


@given(st.binary(max_size=300))
def test_whatever_is_in_the_file_stays(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("keys") / "known_hosts"
    file.write_bytes(content)
    read_keys(file)
    append_key(file, HostName("box"), KIND, ONE, hashed=False)
    after = file.read_bytes()
    assert after.startswith(content)
    assert after[len(content) :].lstrip(b"\n") == b"box ssh-ed25519 " + base64.b64encode(ONE) + b"\n"
    assert KnownHosts.read(HostName("box"), [file]).judge(KIND, ONE).standing is Standing.KNOWN


def test_a_changed_key_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# first\n\nbox {KIND} {base64.b64encode(ONE).decode()} mine\n")
    (evidence,) = KnownHosts.read(HostName("box"), [tmp_path / "none", file]).judge(KIND, TWO).evidence
    assert (evidence.file, evidence.line) == (file, 3)


def test_a_key_in_any_file_is_known(tmp_path: Path) -> None:
    append_key(tmp_path / "a", HostName("box"), KIND, ONE, hashed=False)
    append_key(tmp_path / "b", HostName("box"), KIND, TWO, hashed=False)
    known = KnownHosts.read(HostName("box"), [tmp_path / "a", tmp_path / "b"])
    assert known.judge(KIND, TWO).standing is Standing.KNOWN


def test_a_name_without_port_counts_only_when_the_key_fits(tmp_path: Path) -> None:
    append_key(tmp_path / "a", HostName("box"), KIND, ONE, hashed=False)
    known = KnownHosts.read(HostName("box", 2222), [tmp_path / "a"])
    assert known.judge(KIND, ONE).standing is Standing.KNOWN
    assert known.judge(KIND, TWO).standing is Standing.UNKNOWN
    assert (
        KnownHosts.read(HostName("box", 2222, alias=True), [tmp_path / "a"]).judge(KIND, TWO).standing
        is Standing.CHANGED
    )


def test_keys_of_another_kind_than_said_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        f"box ssh-rsa {base64.b64encode(ONE).decode()}\nbox {KIND} !!!\nbox {KIND}\n@what box a b\n"
    )
    assert read_keys(tmp_path / "a") == []


def test_a_file_that_stays_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "known_hosts"
    now = iter(range(0, 1000, 2))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with file.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="locked"):
            append_key(file, HostName("box"), KIND, ONE, hashed=False)
    assert file.read_bytes() == b""


@given(st.text())
def test_printable_text_cannot_steer_a_terminal(text: str) -> None:
    clean = printable(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in clean)
    assert printable(clean) == clean


@given(st.binary(max_size=200))
def test_any_file_can_be_asked_whether_it_is_encrypted(content: bytes) -> None:
    wrapped = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + content + b"\n-----END OPENSSH PRIVATE KEY-----\n"
    assert is_encrypted(wrapped) in (True, False)
