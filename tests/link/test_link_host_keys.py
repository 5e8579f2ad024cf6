"""The key of a host: asked once, remembered in one line, refused when it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from kinds import to
from sshd import Sshd, needs_sshd, running_sshd, write_key

from simmate_remote.errors import HostKeyChangedError, HostKeyUnknownError, SSHConfigError
from simmate_remote.link import Prompt, connect

pytestmark = [needs_sshd, pytest.mark.usefixtures("kind")]


class Person:
    """Answers every prompt the same way, and remembers them."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.prompts: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> str | None:
        self.prompts.append(prompt)
        return self.answer


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        yield server


async def log_in(config: Path, ask: Person | None = None, name: str = "box") -> None:
    link = await connect(to(name, config), ask)
    await link.close()


async def test_an_unknown_key_is_asked_once_and_remembered(sshd: Sshd) -> None:
    person = Person("yes")
    config = sshd.config()
    await log_in(config, person)
    (prompt,) = person.prompts
    assert prompt.kind == "host-key"
    assert prompt.echo
    assert sshd.host_key.get_fingerprint() in prompt.detail
    assert "ssh-ed25519" in prompt.detail
    expected = " ".join(sshd.host_key.export_public_key().decode().split()[:2])
    assert sshd.known_hosts.read_text() == f"[127.0.0.1]:{sshd.port} {expected}\n"
    assert sshd.known_hosts.stat().st_mode & 0o777 == 0o600
    assert sshd.known_hosts.parent.stat().st_mode & 0o777 == 0o700
    await log_in(config)


async def test_two_logins_at_once_write_one_line(sshd: Sshd, kind: str) -> None:
    config = sshd.config()
    await asyncio.gather(log_in(config, Person("yes")), log_in(config, Person("yes")))
    lines = sshd.known_hosts.read_text().splitlines()
    # The ssh program does not look again before it writes: the same line twice does no harm.
    assert len(lines) == 1 if kind == "asyncssh" else len(set(lines)) == 1


async def test_the_rest_of_the_file_stays_as_it_is(sshd: Sshd) -> None:
    sshd.known_hosts.parent.mkdir()
    before = "# mine\n@cert-authority *.uni sk-ssh-unknown AAAA comment\nnonsense\nlast line without an end"
    sshd.known_hosts.write_text(before)
    await log_in(sshd.config(), Person("yes"))
    after = sshd.known_hosts.read_text()
    assert after.startswith(before + "\n")
    assert after.count("\n") == before.count("\n") + 2


async def test_hash_known_hosts_hides_the_name(sshd: Sshd) -> None:
    config = sshd.config(HashKnownHosts="yes")
    await log_in(config, Person("yes"))
    text = sshd.known_hosts.read_text()
    assert text.startswith("|1|")
    assert "127.0.0.1" not in text
    await log_in(config)


@pytest.mark.parametrize("answer", ["no", "", None, "y"])
async def test_anything_but_yes_is_no(sshd: Sshd, answer: str | None) -> None:
    with pytest.raises(HostKeyUnknownError, match="not accepted"):
        await log_in(sshd.config(), Person(answer))
    assert not sshd.known_hosts.exists()


async def test_nobody_can_be_asked(sshd: Sshd) -> None:
    with pytest.raises(HostKeyUnknownError, match="nobody can be asked") as caught:
        await log_in(sshd.config())
    assert caught.value.remedies[0].command == "simmate-remote connect lab"
    assert sshd.host_key.get_fingerprint() in str(caught.value)


async def test_strict_checking_never_asks(sshd: Sshd) -> None:
    person = Person("yes")
    with pytest.raises(HostKeyUnknownError, match="StrictHostKeyChecking"):
        await log_in(sshd.config(StrictHostKeyChecking="yes"), person)
    assert not person.prompts


@pytest.mark.parametrize("setting", ["accept-new", "no", "off"])
async def test_new_keys_are_accepted_when_configured_and_still_remembered(sshd: Sshd, setting: str) -> None:
    await log_in(sshd.config(StrictHostKeyChecking=setting))
    assert sshd.known_hosts.read_text().count("\n") == 1


@pytest.mark.parametrize("setting", ["ask", "accept-new", "no"])
async def test_a_changed_key_is_refused_whatever_is_configured(sshd: Sshd, setting: str) -> None:
    sshd.known_hosts.parent.mkdir()
    sshd.known_hosts.write_text("# a comment\n")
    other = asyncssh.generate_private_key("ssh-ed25519")
    sshd.know(other)
    person = Person("yes")
    before = sshd.known_hosts.read_text()
    with pytest.raises(HostKeyChangedError) as caught:
        await log_in(sshd.config(StrictHostKeyChecking=setting), person)
    text = str(caught.value)
    assert f"{sshd.known_hosts} line 2" in text
    assert other.get_fingerprint() in text
    assert sshd.host_key.get_fingerprint() in text
    assert caught.value.remedies[0].command == f"ssh-keygen -f {sshd.known_hosts} -R '[127.0.0.1]:{sshd.port}'"
    assert not person.prompts
    assert sshd.known_hosts.read_text() == before


async def test_a_revoked_key_is_refused(sshd: Sshd) -> None:
    sshd.know()
    sshd.know(marker="@revoked", name="*")
    with pytest.raises(HostKeyChangedError, match="revoked"):
        await log_in(sshd.config(), Person("yes"))


async def test_revoked_host_keys_file(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    sshd.know()
    (tmp_path / "revoked").write_bytes(b"# gone\n" + sshd.host_key.export_public_key())
    with pytest.raises(HostKeyChangedError, match="revoked"):
        await log_in(sshd.config(RevokedHostKeys=tmp_path / "revoked"), Person("yes"))
    (tmp_path / "revoked").write_bytes(b"SSHKRL\n\0\0\0\0\1")
    with pytest.raises(SSHConfigError, match="revocation list" if kind == "asyncssh" else "Error checking"):
        await log_in(sshd.config(RevokedHostKeys=tmp_path / "revoked"), Person("yes"))


async def test_a_known_kind_of_key_is_preferred(tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    write_key(tmp_path / "ecdsa", other)
    with running_sshd(tmp_path, f"HostKey {tmp_path}/ecdsa") as sshd:
        for key in (sshd.host_key, other):
            sshd.known_hosts.unlink(missing_ok=True)
            sshd.know(key)
            await log_in(sshd.config())


async def test_a_key_of_a_new_kind_is_never_just_accepted(sshd: Sshd, kind: str) -> None:
    sshd.know(asyncssh.generate_private_key("ecdsa-sha2-nistp256"))
    config = sshd.config(StrictHostKeyChecking="accept-new")
    if kind == "openssh":
        with pytest.raises(HostKeyChangedError):
            await log_in(config, Person("yes"))
        return
    with pytest.raises(HostKeyUnknownError):
        await log_in(config)
    person = Person("yes")
    await log_in(config, person)
    assert "another kind" in person.prompts[0].detail


async def test_names_patterns_and_aliases(sshd: Sshd, tmp_path: Path) -> None:
    for name in ("127.0.0.*", "*,!10.*", "127.0.0.1"):
        sshd.known_hosts.unlink(missing_ok=True)
        sshd.know(name=name)
        await log_in(sshd.config())
    sshd.known_hosts.unlink()
    sshd.know(name="cluster")
    await log_in(sshd.config(HostKeyAlias="cluster"))
    with pytest.raises(HostKeyUnknownError):
        await log_in(sshd.config(HostKeyAlias="another"))


async def test_all_known_hosts_files_are_read_and_the_first_is_written(sshd: Sshd, tmp_path: Path) -> None:
    sshd.know()
    first = tmp_path / "with space" / "first"
    await log_in(sshd.config(UserKnownHostsFile=f'"{first}" {sshd.known_hosts}'))
    assert not first.exists()
    await log_in(sshd.config(UserKnownHostsFile=f'"{first}"', GlobalKnownHostsFile=sshd.known_hosts))
    assert not first.exists()
    await log_in(sshd.config(UserKnownHostsFile=f'"{first}" {tmp_path}/second'), Person("yes"))
    assert first.read_text().count("\n") == 1
    assert not (tmp_path / "second").exists()


async def test_a_certificate_of_a_known_authority(tmp_path: Path, kind: str) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "certified", key)
    certificate = authority.generate_host_certificate(key, "lab", principals=["127.0.0.1"])
    certificate.write_certificate(tmp_path / "certified-cert.pub")
    text = f"HostKey {tmp_path}/certified\nHostCertificate {tmp_path}/certified-cert.pub"
    with running_sshd(tmp_path, text) as sshd:
        sshd.know(authority, name="[127.0.0.*]:*", marker="@cert-authority")
        await log_in(sshd.config())
        sshd.know(authority, name="*", marker="@revoked")
        with pytest.raises(HostKeyUnknownError if kind == "asyncssh" else HostKeyChangedError, match="revoked"):
            await log_in(sshd.config())


async def test_a_file_that_cannot_be_written_is_told(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SSHConfigError, match="cannot be") as caught:
        await log_in(sshd.config(UserKnownHostsFile=tmp_path / "file" / "known_hosts"), Person("yes"))
    assert caught.value.remedies


async def test_every_hop_is_checked(sshd: Sshd) -> None:
    text = f"Host behind\n  ProxyJump box\n  HostKeyAlias inner\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
    text += f"  IdentityFile {sshd.key_file}\n  UserKnownHostsFile {sshd.known_hosts}\n"
    config = sshd.config(text)
    person = Person("yes")
    await log_in(config, person, "behind")
    assert "the jump host 127.0.0.1" in person.prompts[0].detail
    assert "jump" not in person.prompts[1].detail
    assert sshd.known_hosts.read_text().count("\n") == 2
    sshd.known_hosts.write_text("")
    sshd.know(asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises(HostKeyChangedError, match="the jump host"):
        await log_in(config, person, "behind")
