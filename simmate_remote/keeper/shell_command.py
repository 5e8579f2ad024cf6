"""The one line that the login shell there runs: it finds a Python and lets that read its program from stdin."""

from __future__ import annotations

import sys

from simmate_remote.keeper.host.family import MARK

OLDEST_PYTHON = (3, 11)
MADE_FOR = "simmate-remote.python"
"""A file in an environment that `setup` made: the `python:` of the inventory that it was made from."""

NO_MARK = "." * 80
"""What stands where a keeper's mark will be shown, if this command becomes one's guardian: longer than any."""


def shell_command(python: str | None, folder: str, nonce: str) -> str:
    """Compose the command that finds a Python and lets it read its program from stdin.

    The user's login shell parses this text, and may be sh, bash, zsh, csh, tcsh or fish. So it is one line, in single
    quotes, without any character that means something to one of them inside single quotes; what the user chose stands
    in it as octal numbers.

    The environment that `setup` made is called by the name of its own folder, and not by that of the link to it: what
    runs keeps it when the link is switched to another. It stands in for the interpreter that it was made from.
    """
    stub = (
        "import sys;v=sys.version_info;sys.path[:1]=[];"
        f"v<{OLDEST_PYTHON} and sys.exit(print(chr(10)+sys.argv[1],{{}},sys.executable,chr(58),*v[:3]));"
        "exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
    )
    nothing_found = f'{{ echo; echo "{nonce} {{}}"; exit 0; }}'
    script = (
        f'f=$(printf "{_in_octal(folder)}"); case "$f" in "~/"*) f="$HOME/${{f#??}}";; esac; '
        'e=$(cd -P "$f/environment" 2>/dev/null && pwd -P); '
    )
    if python is not None:
        script += (
            f'w=$(printf "{_in_octal(python)}"); p="$w"; case "$p" in "~/"*) p="$HOME/${{p#??}}";; esac; '
            '[ -d "$p" ] && p="$p/bin/python"; '
            f'[ -n "$e" ] && [ "$(cat "$e/{MADE_FOR}" 2>/dev/null)" = "$w" ] && p="$e/bin/python"; '
        )
    else:
        minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        fits = (
            f"import sys,importlib.util as u;"
            f"sys.exit(sys.version_info[:2]<{OLDEST_PYTHON} or u.find_spec(sys.argv[1]) is None)"
        )
        script += (
            f'p=; o=; for q in ${{e:+"$e/bin/python"}} {minor} python3 python; do '
            f'command -v "$q" >/dev/null 2>&1 || continue; o="${{o:-$q}}"; '
            f'"$q" -c "{fits}" distributed </dev/null >/dev/null 2>&1 && p="$q" && break; done; p="${{p:-$o}}"; '
        )
    script += (
        f'command -v "$p" >/dev/null 2>&1 || {nothing_found}; export {MARK}={NO_MARK}; exec "$p" -c "{stub}" {nonce}'
    )
    assert "'" not in script
    assert "\n" not in script
    assert "!" not in script
    return f"exec /bin/sh -c '{script}'"


def _in_octal(text: str) -> str:
    """Spell a text for the shell's printf, so that no character of it means anything to any shell."""
    return "".join(f"\\{byte:03o}" for byte in text.encode())
