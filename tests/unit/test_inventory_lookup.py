"""Where hosts are looked for, which folders are believed, and what ssh's own configuration adds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import HostFileError, HostNotFoundError, InventoryError, UntrustedFolderError
from simmate_remote.inventory import (
    add_host,
    distrust_folder,
    list_hosts,
    load_host,
    remove_host,
    trust_folder,
)
from simmate_remote.inventory.ssh_config import find_ssh_hosts
from simmate_remote.inventory.words import check_destination, check_host_name
from tests.hosts import shut


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder without ``hosts``, unlike that of this project."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a checkout whose ``hosts`` folder nobody has trusted."""
    hosts = tmp_path / "checkout/hosts"
    hosts.mkdir(parents=True)
    (hosts / "lab-box.yaml").write_text("ssh: lab-box\nssh_config: config\n")
    (hosts / "config").write_text("Host lab-box\n  HostName lab\n")
    monkeypatch.chdir(hosts.parent)
    return hosts


def write_ssh_config(text: str, name: str = "config") -> None:
    folder = Path.home() / ".ssh"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def states() -> list[tuple[str, str]]:
    return [(entry.name, entry.state) for entry in list_hosts()]


def test_untrusted_folder_is_refused(checkout: Path) -> None:
    with pytest.raises(UntrustedFolderError, match="you have not trusted it yet") as caught:
        load_host("lab-box")
    assert caught.value.remedies[0].command == "simmate-remote hosts trust"
    assert states() == [("lab-box", "untrusted")]


def test_untrusted_folder_is_refused_even_where_the_user_has_a_host_of_this_name(checkout: Path) -> None:
    add_host("lab-box", ssh="mine")
    with pytest.raises(UntrustedFolderError):
        load_host("lab-box")
    add_host("other", ssh="mine")
    assert load_host("other").ssh == "mine"


def test_trusted_folder_comes_first(checkout: Path) -> None:
    add_host("lab-box", ssh="mine")
    assert trust_folder(checkout.parent) == checkout
    host = load_host("lab-box")
    assert (host.source, host.ssh_config) == (checkout / "lab-box.yaml", checkout / "config")
    assert states() == [("lab-box", "ready"), ("lab-box", "shadowed")]


@pytest.mark.parametrize("change", ["edit", "add", "remove", "edit the ssh_config"])
def test_any_change_asks_again(checkout: Path, change: str) -> None:
    (checkout / "spare.yaml").write_text("ssh: spare")
    trust_folder(checkout)
    load_host("lab-box")
    if change == "edit":
        (checkout / "lab-box.yaml").write_text("ssh: elsewhere")
    elif change == "add":
        (checkout / "new.yaml").write_text("ssh: new")
    elif change == "remove":
        (checkout / "spare.yaml").unlink()
    else:
        (checkout / "config").write_text("Host *\n  ProxyCommand reboot\n")
    with pytest.raises(UntrustedFolderError, match="has changed since you trusted it"):
        load_host("lab-box")
    assert ("lab-box", "changed") in states()
    trust_folder(checkout)
    load_host("lab-box")


def test_trust_follows_the_folder_not_its_name(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trust_folder(checkout)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "hosts").mkdir()
    (copy / "hosts/lab-box.yaml").write_bytes((checkout / "lab-box.yaml").read_bytes())
    monkeypatch.chdir(copy)
    with pytest.raises(UntrustedFolderError, match="not trusted it yet"):
        load_host("lab-box")
    link = tmp_path / "link"
    link.symlink_to(checkout.parent)
    monkeypatch.chdir(link)
    assert load_host("lab-box").ssh == "lab-box"


def test_trust_can_be_withdrawn(checkout: Path) -> None:
    trust_folder(checkout)
    assert distrust_folder(checkout)
    with pytest.raises(UntrustedFolderError):
        load_host("lab-box")
    assert not distrust_folder(checkout)


@pytest.mark.parametrize("config", ["../config", "/etc/ssh/ssh_config", "~/.ssh/config", "sub/../../config", "missing"])
def test_ssh_config_of_a_trusted_folder_lies_in_it(checkout: Path, config: str) -> None:
    (checkout.parent / "config").write_text("")
    (checkout / "lab-box.yaml").write_text(f"ssh: lab-box\nssh_config: {config}\n")
    trust_folder(checkout)
    with pytest.raises(HostFileError, match=r"line 2, ssh_config: .*must be a file of that folder"):
        load_host("lab-box")


def test_folder_behind_a_link_is_not_part_of_a_trusted_one(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config").write_text("")
    (checkout / "sub").symlink_to(elsewhere)
    (checkout / "lab-box.yaml").write_text("ssh: lab-box\nssh_config: sub/config\n")
    trust_folder(checkout)
    with pytest.raises(HostFileError, match="must be a file of that folder"):
        load_host("lab-box")


def test_forged_or_broken_record_trusts_nothing(checkout: Path) -> None:
    trust_folder(checkout)
    (record,) = (Path(os.environ["XDG_STATE_HOME"]) / "simmate-remote/trusted").iterdir()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    for text in ("", "[]", '{"folder": "/other"}', f'{{"folder": "{checkout}", "files": 3}}'):
        record.write_text(text)
        with pytest.raises(UntrustedFolderError):
            load_host("lab-box")


def test_folder_that_is_no_inventory_disturbs_nobody(checkout: Path) -> None:
    (checkout / "large").write_bytes(b"\0" * (2**20 + 1))
    assert states() == [("lab-box", "untrusted")]
    with pytest.raises(InventoryError, match="larger than 1 MiB"):
        trust_folder(checkout)


def test_named_folder_is_trusted_and_replaces_the_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_host("mine", ssh="mine")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", "hosts")
    assert load_host("lab-box").ssh_config == checkout / "config"
    assert states() == [("lab-box", "ready"), ("mine", "ready")]
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", "nowhere")
    with pytest.raises(InventoryError, match="nowhere, and that is no folder"):
        load_host("lab-box")


def test_deleted_current_folder(checkout: Path) -> None:
    for path in checkout.iterdir():
        path.unlink()
    checkout.rmdir()
    checkout.parent.rmdir()
    add_host("mine", ssh="mine")
    assert load_host("mine").ssh == "mine"


def test_written_file_is_private_and_never_overwritten() -> None:
    host = add_host("lab-box", ssh="me@lab")
    assert host.source is not None
    assert host.source.parent == Path(os.environ["XDG_CONFIG_HOME"]) / "simmate-remote/hosts"
    assert stat.S_IMODE(host.source.stat().st_mode) == 0o600
    assert stat.S_IMODE(host.source.parent.stat().st_mode) == 0o700
    with pytest.raises(InventoryError, match="describes it already"):
        add_host("lab-box", ssh="other")
    assert load_host("lab-box").ssh == "me@lab"
    add_host("lab-box", ssh="other", force=True)
    assert load_host("lab-box").ssh == "other"
    assert [path.name for path in host.source.parent.iterdir()] == ["lab-box.yaml"]


def test_wrong_fields_are_not_written() -> None:
    with pytest.raises(InventoryError, match=r"workers\.count: expected a whole number of at least 1") as caught:
        add_host("lab-box", ssh="-x", workers={"count": 0})
    assert "ssh: expected" in str(caught.value)
    assert list_hosts() == []


def test_remove() -> None:
    add_host("lab-box", ssh="a")
    assert not remove_host("lab-box").exists()
    with pytest.raises(HostNotFoundError):
        remove_host("lab-box")


def test_unreadable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "file/hosts"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InventoryError, match="cannot be written") as caught:
        add_host("lab-box", ssh="a")
    assert caught.value.remedies[0].command == f"ls -ld {tmp_path}/file"


def test_what_ssh_knows_is_a_host() -> None:
    write_ssh_config(
        'host lab-box *.example.edu !bad\n  User me\nHOST="quoted name" deep-1\n'
        "Match host x\n Include=more/*.conf missing\n"
    )
    (Path.home() / ".ssh/more").mkdir()
    write_ssh_config("Host inner # a comment\nInclude config\n", "more/a.conf")
    assert find_ssh_hosts()[:3] == ["lab-box", "deep-1", "inner"]
    host = load_host("inner")
    assert (host.ssh, host.source, host.folder) == ("inner", None, "~/simmate-remote")


def test_a_folder_of_ssh_that_cannot_be_entered_names_no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    add_host("lab-box", ssh="a")
    write_ssh_config("Host hidden\n")
    shut(Path.home() / ".ssh", monkeypatch)
    assert [entry.name for entry in list_hosts()] == ["lab-box"]
    with pytest.raises(HostNotFoundError):
        load_host("hidden")


@pytest.mark.parametrize("name", ["me@lab", "lab.uni.edu", "me@lab.uni.edu"])
def test_addresses_are_hosts(name: str) -> None:
    assert load_host(name).ssh == name


def test_unknown_host_has_its_closest_names() -> None:
    write_ssh_config("Host labxbox")
    add_host("lab-box", ssh="a")
    with pytest.raises(HostNotFoundError, match="did you mean lab-box or labxbox") as caught:
        load_host("lab-bxo")
    assert [remedy.command for remedy in caught.value.remedies] == [
        "simmate-remote hosts list",
        "simmate-remote hosts add lab-bxo --ssh ADDRESS",
    ]
    with pytest.raises(HostNotFoundError, match="did you mean lab-box"):
        load_host("lab-box.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        ".x",
        "a b",
        "a/b",
        "../x",
        "a\nb",
        "a\0b",
        "a;b",
        "$x",
        "me@-x",
        "me@.x",
        "@x",
        "x@",
        "a@b@c",
        "x" * 101,
        "\u202ex",
    ],
)
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(HostNotFoundError, match="cannot be the name of a host"):
        load_host(name)
    with pytest.raises(InventoryError):
        add_host(name, ssh="a")


def test_names_with_accents_are_found_in_either_form() -> None:
    add_host("cafe\N{COMBINING ACUTE ACCENT}", ssh="a")
    assert load_host("café").name == "café"
    assert load_host("cafe\N{COMBINING ACUTE ACCENT}").name == "café"


@given(st.text())
def test_checked_names_are_harmless(name: str) -> None:
    try:
        safe = check_host_name(name)
    except ValueError:
        return
    assert "/" not in safe
    assert not safe.startswith(("-", "."))
    assert all(character.isprintable() and not character.isspace() for character in safe)


@given(st.text())
def test_checked_destinations_are_harmless(text: str) -> None:
    try:
        check_destination(text)
    except ValueError:
        return
    assert not text.startswith("-")
    assert not set("'\"`$;&<>|(){}\n\t ") & set(text)
    assert text.isprintable()


@given(st.text())
def test_any_ssh_config_is_read(text: str) -> None:
    folder = Path.home() / ".ssh"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_bytes(text.encode("utf-8", "surrogatepass"))
    for name in find_ssh_hosts():
        assert load_host(name).ssh == name


def test_domain_user_is_legal() -> None:
    assert check_destination("DOMAIN\\me@lab") == "DOMAIN\\me@lab"
    assert check_destination("ssh://me@[::1]:2222") == "ssh://me@[::1]:2222"
