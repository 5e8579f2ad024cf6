"""The first code of ours that runs on the host: it arrives on stdin, before anything of ours is there.

It says which Python and which versions it found, takes the package if it is missing, and goes on to ``attach``, or to
a module that does an errand. Each
word to the near end is a line that begins with a nonce, so that whatever a login shell prints is passed over.
A person waits for every import here; what is needed only now and then is imported where it is.
"""

import json
import os
import socket
import sys
from typing import Any


def say(nonce: str, **words: object) -> None:
    """Send one line to the near end."""
    sys.stdout.buffer.write(f"\n{nonce} {json.dumps(words)}\n".encode())
    sys.stdout.buffer.flush()


def versions(names: list[str] | tuple[str, ...]) -> dict[str, str | None]:
    """Look up installed distributions without importing them, which would take most of a second.

    Nearly always the name of a folder tells the version; ``importlib.metadata`` knows the other cases.
    """
    found: dict[str, str | None] = {}
    for place in filter(os.path.isdir, sys.path):
        for entry in os.listdir(place):
            name, _, version = entry.removesuffix(".dist-info").rpartition("-")
            if entry.endswith(".dist-info") and name in names:
                found.setdefault(name, version)
    for name in set(names) - set(found):
        import importlib.metadata

        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def unpack(content: bytes, packages: str, name: str) -> None:
    """Put the package in its place at once or not at all."""
    import io
    import shutil
    import tempfile
    import zipfile

    place = tempfile.mkdtemp(dir=packages, prefix=".arriving-")
    try:
        zipfile.ZipFile(io.BytesIO(content)).extractall(place)
        os.rename(place, os.path.join(packages, name))
    except Exception:
        # Another login may have been quicker; otherwise the disk is full, or the link broke and the package is cut.
        shutil.rmtree(place, ignore_errors=True)
        if not os.path.isdir(os.path.join(packages, name)):
            raise


def main() -> None:
    """Hold the dialogue with :mod:`simmate_remote.keeper.arrival`."""
    request = json.loads(sys.stdin.buffer.readline())
    nonce = request["nonce"]
    os.umask(0o077)
    try:
        folder = os.path.join(os.path.expanduser("~"), os.path.expanduser(request["folder"]))
        if "errand" in request:
            do_errand(request, folder)
        else:
            find_keeper(request, folder)
    except Exception as error:  # noqa: BLE001 - the near end shows it, whatever it is
        say(nonce, at="failed", error=f"{type(error).__name__}: {error}")


def find_keeper(request: dict[str, Any], folder: str) -> None:
    """Put the package in its place, and go on to the keeper."""
    nonce = request["nonce"]
    packages = os.path.join(folder, "packages")
    if not request["start"] and not os.path.isdir(os.path.join(folder, "keepers")):
        # Nothing of ours was ever here, and nothing shall be: somebody only looks.
        say(nonce, at="gone", previous=None)
        return
    os.makedirs(packages, mode=0o700, exist_ok=True)
    here = os.path.join(packages, request["package"])
    present = os.path.isdir(here)
    introduce(request, present=present)
    if present:
        # While the near end thinks.
        sys.path.insert(0, here)
        from simmate_remote.keeper.host.attach import foresee

        foresee(folder)
    content = take_package()
    if content:
        unpack(content, packages, request["package"])
        sys.path.insert(0, here)
    os.utime(here)
    from simmate_remote.keeper.host.attach import attach

    attach(request, folder, here, lambda **words: say(nonce, **words))


def do_errand(request: dict[str, Any], folder: str) -> None:
    """Run a module on this command's stdin and stdout; a package that comes for it stays in memory."""
    import importlib

    here = os.path.join(folder, "packages", request["package"])
    introduce(request, present=os.path.isdir(here))
    content = take_package()
    if content:
        memory = os.memfd_create("package")
        with os.fdopen(os.dup(memory), "wb") as file:
            file.write(content)
        here = f"/proc/self/fd/{memory}"
    sys.path.insert(0, here)
    module = importlib.import_module(request["errand"])
    say(request["nonce"], at="errand")
    module.main()


def introduce(request: dict[str, Any], *, present: bool) -> None:
    """Say what is here."""
    say(
        request["nonce"],
        at="bootstrap",
        python=list(sys.version_info[:3]),
        executable=sys.executable,
        hostname=socket.gethostname(),
        versions=versions(request["distributions"]),
        package=present,
    )


def take_package() -> bytes:
    """Wait for the near end's consent, and give the package if it was sent; it is empty where it was there already.

    Raises:
        EOFError: The near end went away.
    """
    word, _, size = sys.stdin.buffer.readline().decode().strip().partition(" ")
    if word == "package":
        return sys.stdin.buffer.read(int(size))
    if word != "go":
        raise EOFError("the near end went away")
    return b""


if __name__ == "__main__":
    main()
