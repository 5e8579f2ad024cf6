"""~/.ssh/config holds in all it says, with the ssh program and without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshd import Sshd, needs_sshd, running_agent, running_sshd, write_key

from simmate_remote.errors import AuthenticationError, SSHConfigError
from simmate_remote.link import Destination, connect
from simmate_remote.link.algorithms import host_key_algorithms, offered, select
from simmate_remote.link.known_hosts import HostName, KnownHosts
from simmate_remote.link.settings import HostSettings, local_home, local_user
from simmate_remote.link.ssh_config import Resolver, parse_options
from simmate_remote.link.target import Target, parse_jump, parse_target


@pytest.fixture(params=["ssh -G", "without ssh"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", local_home())  # asyncssh goes by it, and ssh by the account
    if request.param == "without ssh":
        monkeypatch.setattr("shutil.which", lambda name: None)
    return str(request.param)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        server.know()
        yield server


async def settings(tmp_path: Path, text: str, target: str = "box") -> HostSettings:
    path = tmp_path / "config"
    path.write_text(text)
    return await Resolver(str(path), 10).resolve(parse_target(target))


async def reaches(config: Path, name: str = "box") -> None:
    link = await connect(Destination("lab", name, config=str(config)))
    await link.close()


async def test_what_a_login_needs(tmp_path: Path, way: str) -> None:
    (tmp_path / "more").write_text("Host b*\n  IdentityFile ~/second\n  Port 1\n  HostKeyAlias lab\n")
    read = await settings(
        tmp_path,
        f"""
        Host box other
          HostName %h.uni.edu
          User ada
          Port 2222
          IdentityFile "%d/first key"
        Include {tmp_path}/more
        Match host box.uni.edu user ada
          ConnectTimeout 7
          IdentitiesOnly yes
          AddressFamily inet
          BindAddress 127.0.0.2
          UserKnownHostsFile ~/a {tmp_path}/b
          PreferredAuthentications password,publickey
          PasswordAuthentication no
          SendEnv LANG LC_*
        Match user nobody
          HostKeyAlias wrong
        """,
    )
    assert (read.host, read.port, read.user) == ("box.uni.edu", 2222, "ada")
    assert read.paths("identityfile") == [Path(local_home(), "first key"), Path(local_home(), "second")]
    assert read.path_list("userknownhostsfile") == [Path(local_home(), "a"), tmp_path / "b"]
    assert read.value("hostkeyalias") == "lab"
    assert read.number("connecttimeout", 0) == 7
    assert read.flag("identitiesonly", default=False)
    assert not read.flag("passwordauthentication", default=True)
    assert read.value("addressfamily") == "inet"
    assert read.value("bindaddress") == "127.0.0.2"
    assert read.value("preferredauthentications") == "password,publickey"
    assert read.lines("sendenv") == ["LANG", "LC_*"]


async def test_without_an_entry_everything_has_its_default(tmp_path: Path, way: str) -> None:
    read = await settings(tmp_path, "", "me@10.0.0.9")
    assert (read.host, read.port, read.user) == ("10.0.0.9", 22, "me")
    assert Path(local_home(), ".ssh/id_ed25519") in read.paths("identityfile")
    assert read.path_list("userknownhostsfile")[0] == Path(local_home(), ".ssh/known_hosts")
    assert read.jumps == []
    assert read.proxy_command is None
    assert not read.chosen("ciphers")
    assert (await settings(tmp_path, "")).user == local_user()


async def test_what_was_typed_wins(tmp_path: Path, way: str) -> None:
    text = "Host box\n  User ada\n  Port 1\n"
    read = await settings(tmp_path, text, "ssh://bob@box:2022")
    assert (read.host, read.port, read.user) == ("box", 2022, "bob")
    assert (await settings(tmp_path, text, "bob@box")).port == 1


async def test_proxy_commands_have_their_tokens(tmp_path: Path, way: str) -> None:
    read = await settings(
        tmp_path, "Host box\n  HostName b\n  User u\n  ProxyCommand run -x '%h' %p %r %n %% ${HOME}\n"
    )
    assert read.proxy_command == f"run -x 'b' 22 u box % {os.environ['HOME']}"


async def test_jumps(tmp_path: Path, way: str) -> None:
    read = await settings(tmp_path, "Host box\n  ProxyJump a@b:23,c\nHost not\n  ProxyJump none\n")
    assert read.jumps == [Target("b", "a", 23), Target("c")]
    assert (await settings(tmp_path, "Host *\n  ProxyJump none\n")).jumps == []


@pytest.mark.parametrize(
    ("text", "first", "absent"),
    [
        ("", "aes128-gcm@openssh.com", ""),
        ("Ciphers aes256-ctr,aes128-ctr", "aes256-ctr", "aes128-gcm@openssh.com"),
        ("Ciphers ^aes256-ctr", "aes256-ctr", ""),
        ("Ciphers -aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"),
    ],
)
async def test_ciphers(tmp_path: Path, way: str, text: str, first: str, absent: str) -> None:
    arguments = offered(await settings(tmp_path, text), KnownHosts(HostName("box")))
    assert arguments["encryption_algs"][0] == first
    assert absent not in arguments["encryption_algs"]
    assert arguments["compression_algs"] is None


async def test_host_key_algorithms_that_are_chosen(tmp_path: Path, way: str) -> None:
    read = await settings(tmp_path, "HostKeyAlgorithms rsa-sha2-256,ssh-ed25519-cert-v01@openssh.com,ssh-ed25519\n")
    assert host_key_algorithms(read, KnownHosts(HostName("box"))) == ["rsa-sha2-256", "ssh-ed25519"]


async def test_algorithms_that_nobody_has(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host box\n  KexAlgorithms sntrup761x25519-sha512@openssh.com\n")
    read = await Resolver(str(config), 10).resolve(Target("box"))
    if "sntrup761x25519-sha512@openssh.com" in select("*", [name.decode() for name in asyncssh.kex.get_kex_algs()], []):
        pytest.skip("this asyncssh has a library for it")
    with pytest.raises(ValueError, match="kexalgorithms"):
        offered(read, KnownHosts(HostName("box")))


def test_tokens_that_mean_nothing() -> None:
    read = HostSettings(Target("box"), {"hostname": ["h"], "identityfile": ["%Z"]}, {})
    with pytest.raises(ValueError, match="%Z"):
        read.paths("identityfile")
    with pytest.raises(ValueError, match="NO_SUCH_VARIABLE"):
        read.expand("${NO_SUCH_VARIABLE}")


@needs_sshd
async def test_every_kind_of_way(sshd: Sshd, tmp_path: Path) -> None:
    here = f"  HostName 127.0.0.1\n  Port {sshd.port}\n"
    text = (
        f"Host inner deep\n{here}  HostKeyAlias inner\n  ProxyJump box\n"
        f"Host deep\n  ProxyJump nobody@nowhere\n"
        f"Host chain\n{here}  ProxyJump box,inner\n"
        f"Host piped\n{here}  ProxyCommand {sshd.folder}/pipe '%h' %p 2>>{sshd.folder}/pipe.log\n"
        f"Host short\n  ProxyJump root@localhost:{sshd.port}\n{here}"
    )
    (sshd.folder / "pipe").write_text(
        "#!/usr/bin/python3\nimport socket, sys, threading, os\n"
        "s = socket.create_connection((sys.argv[1], sys.argv[2]))\n"
        "def up():\n    while d := os.read(0, 65536): s.sendall(d)\n    s.shutdown(1)\n"
        "threading.Thread(target=up, daemon=True).start()\nwhile d := s.recv(65536): os.write(1, d)\n"
    )
    (sshd.folder / "pipe").chmod(0o700)
    sshd.know(name=f"inner,[localhost]:{sshd.port}")
    rest = f"Host *\n  IdentityFile {sshd.key_file}\n  IdentityAgent none\n  UserKnownHostsFile {sshd.known_hosts}\n"
    config = sshd.config(text)
    config.write_text(config.read_text() + rest)
    for name in ("inner", "deep", "chain", "piped", "short", f"ssh://root@127.0.0.1:{sshd.port}"):
        await reaches(config, name)


@needs_sshd
async def test_logging_in_without_the_ssh_program(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    await reaches(sshd.config())
    with pytest.raises(SSHConfigError, match="line 1"):
        await reaches(sshd.config("Port many\n"))


@needs_sshd
async def test_certificates_of_users(tmp_path: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    authority.write_public_key(tmp_path / "authority.pub")
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "id", key)
    certificate = authority.generate_user_certificate(key, "lab", principals=["root"])
    with running_sshd(tmp_path, f"TrustedUserCAKeys {tmp_path}/authority.pub") as server:
        server.know()
        with pytest.raises(AuthenticationError):
            await reaches(server.config(IdentityFile=tmp_path / "id"))
        certificate.write_certificate(tmp_path / "apart.pub")
        await reaches(server.config(IdentityFile=tmp_path / "id", CertificateFile=tmp_path / "apart.pub"))
        certificate.write_certificate(tmp_path / "id-cert.pub")
        await reaches(server.config(IdentityFile=tmp_path / "id"))
        with running_agent(tmp_path / "agent", tmp_path / "id") as agent:
            key.write_public_key(tmp_path / "id.pub")
            for path in (tmp_path / "id", tmp_path / "id-cert.pub"):
                path.unlink()
            with pytest.raises(AuthenticationError):
                await reaches(server.config(IdentityFile=tmp_path / "id", IdentityAgent=agent, IdentitiesOnly="yes"))
            config = server.config(
                IdentityFile=tmp_path / "id", IdentityAgent=agent, CertificateFile=tmp_path / "apart.pub"
            )
            await reaches(config)


def test_targets() -> None:
    assert parse_target("box") == Target("box")
    assert parse_target("me@x@box") == Target("box", "me@x")
    assert parse_target("ssh://a%40b@[::1]:22/") == Target("::1", "a@b", 22)
    assert parse_target("ssh://box") == Target("box")
    assert parse_jump("me@[::1]:2222") == Target("::1", "me", 2222)
    assert str(parse_target("ssh://me@[::1]:2222")) == "ssh://me@[::1]:2222"


@given(st.text())
def test_a_target_is_harmless_or_refused(text: str) -> None:
    for parse in (parse_target, parse_jump):
        try:
            target = parse(text)
        except ValueError:
            continue
        for part in (target.name, target.user or "x"):
            assert part
            assert not part.startswith("-")
            assert not set(part) & set("'`\";&<>|(){}\n\r\0")
        assert not set(target.name) & set("$\\ ")


names = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)


@given(names, st.none() | names, st.none() | st.integers(1, 65535))
def test_a_target_that_is_written_is_read_again(name: str, user: str | None, port: int | None) -> None:
    target = Target(name, user, port)
    assert parse_target(str(target)) == target


@given(
    st.lists(st.tuples(st.from_regex(r"[a-z]{1,10}", fullmatch=True), st.from_regex(r"[^\n\r]{1,30}", fullmatch=True)))
)
def test_options_keep_every_line(pairs: list[tuple[str, str]]) -> None:
    options = parse_options(f"{name} {value}" for name, value in pairs)
    assert sorted((name, line) for name, lines in options.items() for line in lines) == sorted(pairs)


@given(st.lists(st.sampled_from("abcdef"), max_size=4), st.sampled_from(["", "+", "-", "^"]))
def test_selections_have_no_doubles_and_only_what_is_possible(named: list[str], sign: str) -> None:
    possible, default = list("abcd"), list("ab")
    chosen = select(sign + ",".join(named), possible, default)
    assert len(chosen) == len(set(chosen))
    assert set(chosen) <= set(possible)
    if sign == "":
        assert chosen == list(dict.fromkeys(name for name in named if name in possible))
    if sign == "-":
        assert not set(chosen) & set(named)
    if sign in ("+", "^"):
        assert set(default) <= set(chosen)
