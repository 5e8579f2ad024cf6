"""What names, destinations and paths may look like before they go anywhere near a command line."""

from __future__ import annotations

import re
import unicodedata

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME = 100  # bytes: file names end at 255, and others build sockets and logs from it


def check_host_name(name: str) -> str:
    """Check the name that a user gives to a host, and return it in Unicode's composed form.

    Args:
        name: Letters, digits, ``.``, ``_`` and ``-``, not beginning with ``.`` or ``-``; ``user@`` may stand before it.

    Raises:
        ValueError: It is no such name.
    """
    name = unicodedata.normalize("NFC", name)
    for word in name.split("@", 1):
        if not word:
            raise ValueError("it is empty")
        if word[0] in ".-":
            raise ValueError(f"it begins with `{word[0]}`")
        for character in word:
            if not (character.isalnum() or character in "._-"):
                raise ValueError(f"{character!r} is neither a letter nor a digit nor one of . _ -")
    if len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"it is longer than {_LONGEST_NAME} bytes")
    return name


def check_destination(text: str) -> str:
    """Check what stands after ``ssh``: an alias, ``user@name`` or ``ssh://user@name:port``.

    OpenSSH hands host and user to a shell where a ProxyCommand mentions them, so what means something to a shell
    is refused, as OpenSSH itself does since 9.6 (CVE-2023-51385).

    Raises:
        ValueError: It could be taken for an option, or a shell would not take it literally.
    """
    if not text:
        raise ValueError("it is empty")
    _check_encodable(text)
    user, _, machine = text.removeprefix("ssh://").rpartition("@")
    if text.startswith("-") or user.startswith("-") or machine.startswith("-"):
        raise ValueError("it begins with `-`, which ssh would take for an option")
    if not machine:
        raise ValueError("no host is named")
    for character in text:
        if character.isspace() or not character.isprintable():
            raise ValueError(f"it contains {character!r}; options belong into ~/.ssh/config")
        # A Windows domain's users are DOMAIN\name.
        if character in "'`\"$;&<>|(){}" or (character == "\\" and character in machine):
            raise ValueError(f"it contains {character!r}, which no host's name has")
    return text


def check_remote_path(text: str) -> str:
    """Check a path on the host; everything that a file system can hold is legal, quotes and spaces included.

    Args:
        text: An absolute path, or one that begins with ``~/``.

    Raises:
        ValueError: It is relative, or holds a NUL or a line break.
    """
    check_text(text)
    if "\n" in text or "\r" in text:
        raise ValueError("it contains a line break")
    if not text.startswith(("/", "~/")):
        raise ValueError("it begins neither with `/` nor with `~/`")
    return text


def check_remote_folder(text: str) -> str:
    """Check a folder on the host that is ours alone: never the home folder or the root itself.

    Raises:
        ValueError: It is no path, or leads to the home folder, the root, or upwards.
    """
    check_remote_path(text)
    parts = [part for part in text.split("/")[1:] if part not in ("", ".")]
    if not parts:
        raise ValueError("it must be a folder of its own, not a home folder or the root")
    if ".." in parts:
        raise ValueError("it contains `..`")
    return text


def check_environment_name(name: str) -> str:
    """Check the name of an environment variable, as POSIX defines it.

    Raises:
        ValueError: It is not made of letters, digits and ``_`` alone, or begins with a digit.
    """
    if not _ENVIRONMENT_NAME.fullmatch(name):
        raise ValueError("names of variables are letters, digits and `_`, and do not begin with a digit")
    return name


def check_resource_name(name: str) -> str:
    """Check the name of one of Dask's abstract resources, such as ``GPU``.

    Raises:
        ValueError: It is empty or not printable.
    """
    if not name or not name.isprintable() or name != name.strip():
        raise ValueError("names of resources are printable words")
    return name


def check_program_name(name: str) -> str:
    """Check what a program, or its data, is called: a printable word, such as ``pw.x``.

    Raises:
        ValueError: It is empty, or holds a space or something that does not print.
    """
    if not name or not name.isprintable() or any(each.isspace() for each in name):
        raise ValueError("names of programs are printable words without spaces")
    return name


def check_program(text: str) -> str:
    """Check where a program, or a folder of its data, is on the host.

    Args:
        text: A command that is looked for on PATH, or a path that is absolute or begins with ``~/``.

    Raises:
        ValueError: It is neither.
    """
    if "/" in text:
        return check_remote_path(text)
    check_text(text)
    if not text or text.startswith("-") or any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError("it is neither a command, which is one word, nor a path")
    return text


def check_text(text: str) -> str:
    """Check that a text can travel to the host as it is.

    Raises:
        ValueError: It contains a NUL, or something that UTF-8 cannot express.
    """
    if "\0" in text:
        raise ValueError("it contains a NUL character")
    return _check_encodable(text)


def _check_encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it contains half of a surrogate pair") from None
    return text
