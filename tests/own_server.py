"""A Postgres server of the user's own, on loopback: ``python -m tests.own_server FOLDER PORT`` becomes it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from simmate_remote.database.embedded.making import make
from simmate_remote.database.embedded.place import Place, programs
from simmate_remote.database.embedded.stepping_down import step_down

HBA = "host simmate simmate 127.0.0.1/32 scram-sha-256\n"


class OwnServer:
    """The server.

    Args:
        port: Where it listens on loopback.
        password: Of the user ``simmate``.
        process: It.
    """

    def __init__(self, port: int, password: str, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.password = password
        self.process = process

    def url(self, *, password: str | None = None, port: int | None = None, options: str = "") -> str:
        """Give its URL."""
        return f"postgresql://simmate:{password or self.password}@127.0.0.1:{port or self.port}/simmate{options}"


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[OwnServer]:
    """Run a server."""
    place = Place(folder)
    place.make()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.own_server", str(folder), str(port)])
    server = OwnServer(port, place.password(), process)
    try:
        limit = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(server.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > limit or process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                break
        yield server
    finally:
        process.send_signal(2)
        process.wait(20)


class TlsFront:
    """Stands before a server that speaks no TLS, as the build of the tests' does not, and demands it.

    Args:
        server: The port of that server.
        folder: Where its key is made.
    """

    def __init__(self, server: int, folder: Path) -> None:
        self._server = server
        self.certificate = folder / "front.crt"
        key = folder / "front.key"
        names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *names]
        made = [*command, "-keyout", key, "-out", self.certificate]
        subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(self.certificate, key)

    async def arrive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if (await reader.readexactly(8))[4:] != (80877103).to_bytes(4, "big"):
            writer.close()  # no TLS, no answer
            return
        writer.write(b"S")
        await writer.start_tls(self._context)
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._server)
        await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def main() -> None:
    """Make the data, and become the server."""
    place, port = Place(Path(sys.argv[1])), sys.argv[2]
    step_down(place.data)
    folder = programs(place.data)
    make(place, folder)
    (place.data / "pg_hba.conf").write_text(HBA)
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    os.execv(folder / "postgres", [str(folder / "postgres"), "-D", str(place.data), *arguments])


if __name__ == "__main__":
    main()
