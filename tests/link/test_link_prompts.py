"""Passwords, one-time codes and passphrases: asked when needed, in one login, without hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from kinds import to
from ssh_server import Script, scripted_server
from sshd import give_agent, running_agent, write_key

from simmate_remote.errors import AuthenticationError, ConnectTimeoutError
from simmate_remote.link import Prompt, connect

pytestmark = pytest.mark.usefixtures("kind")


class Person:
    """Gives prepared answers, and remembers the prompts."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.prompts: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> str | None:
        self.prompts.append(prompt)
        return self.answers.pop(0)


async def log_in(config: Path, ask: object = None, timeout: float = 10) -> None:
    link = await connect(to("box", config, connect_timeout=timeout), ask)  # type: ignore[arg-type]
    await link.close()


async def test_a_password_has_three_tries_in_one_login(tmp_path: Path) -> None:
    script = Script(password="right", banner="Be\x07ware\n")
    async with scripted_server(tmp_path, script) as server:
        person = Person("wrong", "again", "right")
        await log_in(server.config(), person)
    assert [prompt.kind for prompt in person.prompts] == ["password"] * 3
    assert not any(prompt.echo for prompt in person.prompts)
    assert person.prompts[0].detail == "Beware"
    assert "not accepted" in person.prompts[1].detail
    assert script.logins == 1


async def test_a_fourth_password_is_not_asked(tmp_path: Path) -> None:
    script = Script(password="right", banner="Welcome to the lab.")
    async with scripted_server(tmp_path, script) as server:
        person = Person("a", "b", "c")
        with pytest.raises(AuthenticationError) as caught:
            await log_in(server.config(), person)
    text = str(caught.value)
    assert "ada" in text
    assert "methods tried:  password" in text
    assert "server offers:  password" in text
    assert "Welcome to the lab." in text
    assert script.logins == 1


@pytest.mark.parametrize("secret", ["hunter2-pass", "two words", "ünïcode", "x" * 1000])
async def test_answers_arrive_as_typed_and_are_told_to_nobody(
    tmp_path: Path, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(password="other")
    caplog.set_level(1)
    async with scripted_server(tmp_path, script) as server:
        with pytest.raises(AuthenticationError) as caught:
            await log_in(server.config(), Person(secret, None))
    assert script.answers == [[secret]]
    assert secret not in str(caught.value)
    assert secret not in caplog.text


async def test_codes_in_several_rounds_with_several_questions(tmp_path: Path, kind: str) -> None:
    script = Script(
        rounds=[
            ("Read this\x9b31m.\n", [], []),
            ("Now answer.", [("User\x01 name: ", True), ("Code: ", False)], ["ada", "123456"]),
            ("", [("Again: ", False)], ["654321"]),
        ]
    )
    async with scripted_server(tmp_path, script) as server:
        person = Person("ada", "123456", "654321")
        await log_in(server.config(), person)
    assert [(prompt.kind, prompt.text, prompt.echo) for prompt in person.prompts] == [
        ("code", "User name: ", kind == "asyncssh"),  # ssh does not say which answers may be seen
        ("code", "Code: ", False),
        ("code", "Again: ", False),
    ]
    assert "Read this31m." in person.prompts[0].detail
    assert "Now answer." in person.prompts[0].detail
    assert all(c == "\n" or c.isprintable() for prompt in person.prompts for c in prompt.detail + prompt.text)
    assert script.logins == 1


async def test_nobody_can_be_asked(tmp_path: Path) -> None:
    script = Script(password="x", rounds=[("", [("Code: ", False)], ["1"])])
    async with scripted_server(tmp_path, script) as server:
        for config, ask in ((server.config(), None), (server.config(BatchMode="yes"), Person("1"))):
            with pytest.raises(AuthenticationError) as caught:
                await log_in(config, ask)
            assert "nobody can be asked" in str(caught.value)
            assert "keyboard-interactive needs a person" in str(caught.value)
    assert script.answers == []


async def test_who_declines_once_is_not_asked_again(tmp_path: Path) -> None:
    script = Script(password="x", rounds=[("", [("Code: ", False)], ["1"])])
    async with scripted_server(tmp_path, script) as server:
        person = Person(None)
        with pytest.raises(AuthenticationError):
            await log_in(server.config(), person)
    assert len(person.prompts) == 1


async def test_a_person_has_more_time_than_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    clock, skipped = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + skipped)

    async def slow_person(prompt: Prompt) -> str:
        nonlocal skipped
        skipped += 60
        for _ in range(10):
            await asyncio.sleep(0)  # every timer that is due fires
        return "1"

    script = Script(rounds=[("", [("Code: ", False)], ["1"]), ("", [("Code: ", False)], ["1"])])
    async with scripted_server(tmp_path, script) as server:
        await log_in(server.config(), slow_person)
    assert skipped == 120
    assert script.logins == 1


async def test_the_time_goes_on_after_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def hang(self: object, username: str, responses: list[str]) -> bool:
        await never.wait()
        return True

    monkeypatch.setattr("ssh_server.Server.validate_kbdint_response", hang)
    async with scripted_server(tmp_path, Script(rounds=[("", [("Code: ", False)], ["1"])])) as server:
        config = server.config()
        with pytest.raises(ConnectTimeoutError, match="while logging in"):
            await log_in(config, Person("1"), timeout=0.3)


@pytest.mark.parametrize("kind", [ZeroDivisionError, ValueError, OSError, TimeoutError, EOFError])
async def test_an_exception_of_the_callback_comes_through(tmp_path: Path, kind: type[Exception]) -> None:
    async def broken(prompt: Prompt) -> str:
        raise kind

    async with scripted_server(tmp_path, Script(password="x")) as server:
        with pytest.raises(kind) as caught:
            await log_in(server.config(), broken)
    assert type(caught.value) is kind


@pytest.fixture
def key(tmp_path: Path) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "id", key, passphrase="open sesame")
    return key


async def test_a_passphrase_is_asked_only_for_the_key_that_the_server_wants(
    tmp_path: Path, key: asyncssh.SSHKey
) -> None:
    write_key(tmp_path / "other", asyncssh.generate_private_key("ssh-ed25519"), passphrase="never typed")
    async with scripted_server(tmp_path, Script(key=key)) as server:
        person = Person("wrong", "open sesame")
        await log_in(server.config(IdentityFile=f"{tmp_path}/other\n  IdentityFile {tmp_path}/id"), person)
    assert [prompt.kind for prompt in person.prompts] == ["passphrase"] * 2
    assert str(tmp_path / "id") in person.prompts[0].text
    assert "not the passphrase" in person.prompts[1].detail


@pytest.mark.parametrize("form", ["pkcs1-pem", "pkcs8-pem"])
async def test_a_locked_key_without_its_public_half(tmp_path: Path, form: str) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    key.write_private_key(tmp_path / "id", form, passphrase="open sesame")
    (tmp_path / "id").chmod(0o600)
    async with scripted_server(tmp_path, Script(key=key)) as server:
        await log_in(server.config(IdentityFile=tmp_path / "id"), Person("wrong", "open sesame"))


@pytest.mark.parametrize("answers", [("a", "b", "c"), ("",), (None,)])
async def test_a_key_that_stays_locked(tmp_path: Path, key: asyncssh.SSHKey, answers: tuple[str | None, ...]) -> None:
    async with scripted_server(tmp_path, Script(key=key)) as server:
        person = Person(*answers)
        with pytest.raises(AuthenticationError, match="not unlocked") as caught:
            await log_in(server.config(IdentityFile=tmp_path / "id"), person)
    assert not person.answers
    assert key.get_fingerprint() in str(caught.value)


async def test_a_locked_key_and_nobody_to_ask(tmp_path: Path, key: asyncssh.SSHKey) -> None:
    async with scripted_server(tmp_path, Script(key=key)) as server:
        with pytest.raises(AuthenticationError, match="nobody can be asked") as caught:
            await log_in(server.config(IdentityFile=tmp_path / "id"))
    assert f"ssh-add {tmp_path}/id" in [remedy.command for remedy in caught.value.remedies]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    with running_agent(tmp_path / "agent") as path:
        yield path


def add_key(agent: Path, path: Path) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(path, key)
    give_agent(agent, path)
    path.unlink()
    return key


async def test_the_agent_signs(tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = add_key(agent, tmp_path / "added")
    async with scripted_server(tmp_path, Script(key=key)) as server:
        await log_in(server.config(IdentityAgent=agent))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        await log_in(server.config(IdentityAgent="SSH_AUTH_SOCK"))
        monkeypatch.setenv("MY_AGENT", str(agent))
        monkeypatch.delenv("SSH_AUTH_SOCK")
        await log_in(server.config(IdentityAgent="$MY_AGENT"))
        with pytest.raises(AuthenticationError):
            await log_in(server.config())


async def test_identities_only_takes_from_the_agent_what_is_named(tmp_path: Path, agent: Path) -> None:
    key = add_key(agent, tmp_path / "added")
    add_key(agent, tmp_path / "unwanted")
    async with scripted_server(tmp_path, Script(key=key)) as server:
        options = {"IdentityAgent": agent, "IdentitiesOnly": "yes"}
        with pytest.raises(AuthenticationError) as caught:
            await log_in(server.config(**options))
        assert "key offered" not in str(caught.value)
        key.write_public_key(tmp_path / "id.pub")
        await log_in(server.config(**options, IdentityFile=tmp_path / "id.pub"))
        await log_in(server.config(**options, IdentityFile=tmp_path / "id"))


async def test_an_agent_that_is_gone_is_only_noted(tmp_path: Path, kind: str) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "id", key)
    async with scripted_server(tmp_path, Script(key=key)) as server:
        await log_in(server.config(IdentityAgent=tmp_path / "gone", IdentityFile=tmp_path / "id"))
        with pytest.raises(AuthenticationError, match="gone does not answer" if kind == "asyncssh" else "did not let"):
            await log_in(server.config(IdentityAgent=tmp_path / "gone"))


async def test_keys_are_offered_as_they_are_named(tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in names]
    for name, key in zip(names, keys, strict=True):
        write_key(tmp_path / name, key)
    (tmp_path / "broken").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "broken").chmod(0o600)
    files = "\n".join(f"  IdentityFile {tmp_path}/{name}" for name in ["missing", "broken", *names]).lstrip()
    async with scripted_server(tmp_path, Script(key=asyncssh.generate_private_key("ssh-ed25519"))) as server:
        with pytest.raises(AuthenticationError) as caught:
            await log_in(server.config(IdentityFile=files.removeprefix("IdentityFile ")))
    offered = [line for line in str(caught.value).splitlines() if "key offered" in line]
    for key, name, line in zip(keys, names, offered, strict=True):
        assert f"{key.get_fingerprint()} ({tmp_path}/{name})" in line
    assert f"{tmp_path}/broken" in str(caught.value)


async def test_a_key_and_then_a_code_in_one_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "id", key)
    script = Script(key=key)
    finish = asyncssh.SSHServerConnection.send_userauth_success

    async def ask_for_more(connection: asyncssh.SSHServerConnection) -> None:
        if script.key is None:
            await finish(connection)
        else:
            script.key, script.rounds = None, [("", [("Code: ", False)], ["1"])]
            connection.send_userauth_failure(True)

    monkeypatch.setattr(asyncssh.SSHServerConnection, "send_userauth_success", ask_for_more)
    async with scripted_server(tmp_path, script) as server:
        person = Person("2", "1")
        await log_in(server.config(IdentityFile=tmp_path / "id"), person)
    assert [prompt.kind for prompt in person.prompts] == ["code", "code"]
    assert script.logins == 1


# The ssh program waits for its agent for ever, and the login ends after ConnectTimeout.
@pytest.mark.parametrize("kind", ["asyncssh"], indirect=True)
async def test_an_agent_that_says_nothing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("simmate_remote.link.keys._AGENT_PATIENCE", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(tmp_path / "id", key)
    agent = await asyncio.start_unix_server(silent, tmp_path / "agent")
    async with scripted_server(tmp_path, Script(key=key)) as server, agent:
        await log_in(server.config(IdentityAgent=tmp_path / "agent", IdentityFile=tmp_path / "id"))
        with pytest.raises(AuthenticationError, match="it is silent"):
            await log_in(server.config(IdentityAgent=tmp_path / "agent"))
