"""The other user of a machine: tries everything at every address, and prints what came of it as JSON.

Its text is run by another interpreter, as another user, or as one that it becomes: the number is its argument.
On stdin: ``addresses`` (pairs of ``tcp`` or ``unix`` and an address), ``folders`` to look into, ``certificate`` (a file
that holds key and certificate, its own or stolen ones), ``marker`` (a file that a function shall make, if one is run).
"""

import asyncio
import json
import os
import socket
import ssl
import sys

from distributed.comm import connect
from distributed.protocol import to_serialize

PATIENCE = 1.0
HELLO = json.dumps(
    {
        "protocol": 2,
        "conversation": "i" * 64,
        "carrier": 1,
        "resume": False,
        "owner": "visitor",
        "alive": [],
        "keepalive": [5, 3],
    }
).encode()
CARRIER = b"\x01" + bytes(12) + len(HELLO).to_bytes(4, "big") + HELLO
CALL = b'{"id": 1, "call": "status", "arguments": {}}\n'
PAGES = ("/", "/status", "/json/identity.json", "/info/main/workers.html", "/metrics", "/api/v1/retire_workers")


def context(certificate=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if certificate:
        made.load_cert_chain(certificate)
    return made


def dial(kind, address):
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)


def exchange(kind, address, words, tls=None):
    """Send words, and return what comes back, or the name of the error."""
    try:
        with dial(kind, address) as plain:
            connection = tls.wrap_socket(plain) if tls else plain
            connection.sendall(words)
            return connection.recv(200).decode("latin-1")
    except OSError as error:
        return f"!{type(error).__name__}"


async def command_dask(address, tls, marker):
    """Speak Dask's own protocol: ask for the identity, and let a function run."""
    scheme = "tls" if tls else "tcp"
    options = {"ssl_context": tls, "require_encryption": True} if tls else {}
    answers = []
    for message in (
        {"op": "identity", "reply": True},
        {"op": "run", "function": to_serialize(os.system), "args": to_serialize((f"touch {marker}",)), "reply": True},
    ):
        try:
            async with asyncio.timeout(PATIENCE):
                comm = await connect(f"{scheme}://{address}", timeout=PATIENCE, **options)
                await comm.write(message)
                answer = await comm.read()
                comm.abort()
                answers.append(str(answer)[:200])
        except (OSError, TimeoutError, ValueError) as error:
            answers.append(f"!{type(error).__name__}")
    return answers


def look_around(folder):
    """Return every file below a folder that can be read, or the name of the error."""
    try:
        os.listdir(folder)
    except OSError as error:
        return f"!{type(error).__name__}"
    readable = []
    for parent, _, names in os.walk(folder):
        readable += [os.path.join(parent, name) for name in names if os.access(os.path.join(parent, name), os.R_OK)]
    return readable


async def main():
    wanted = json.load(sys.stdin)
    own = context(wanted["certificate"])
    found = {"uid": os.getuid(), "sockets": {}, "folders": {}}
    for kind, address in wanted["addresses"]:
        got = found["sockets"][address] = {"silence": exchange(kind, address, b"")} if kind == "unix" else {}
        got["http"] = [
            exchange(kind, address, f"GET {page} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            for page in PAGES
        ]
        got["carrier"] = exchange(kind, address, CARRIER)
        got["call"] = exchange(kind, address, CALL)
        for name, tls in (("no certificate", context()), ("own certificate", own)):
            got[f"tls, {name}"] = exchange(kind, address, b"GET /json/identity.json HTTP/1.0\r\n\r\n", tls)
    dask = [(address, tls) for kind, address in wanted["addresses"] if kind == "tcp" for tls in (None, context(), own)]
    answers = await asyncio.gather(*(command_dask(address, tls, wanted["marker"]) for address, tls in dask))
    for (address, _), answer in zip(dask, answers, strict=True):
        found["sockets"][address].setdefault("dask", []).extend(answer)
    found["folders"] = {folder: look_around(folder) for folder in wanted["folders"]}
    print(json.dumps(found))


# Only now, so that an interpreter in a folder of its maker's has imported all that it needs.
if len(sys.argv) > 1:
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
asyncio.run(main())
