"""Making the embedded database: once, whole or not at all, with a password that no other process ever sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from simmate_remote.database.embedded.place import DATABASE, USER, Place

HBA = f"""\
# The one role that can log in, by its password; nobody else, and never over a network.
local {DATABASE} {USER} scram-sha-256
local all all reject
"""

CONFIGURATION = """\
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = scram-sha-256
cluster_name = 'simmate-remote'
max_connections = 200
# For a person's laptop: it idles in 60 MB, and its log of changes stays below 256 MB.
shared_buffers = 16MB
max_wal_size = 256MB
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
io_method = sync
jit = off
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] '
lc_messages = 'C'
timezone = 'UTC'
"""


def make(place: Place, programs: Path) -> None:
    """Make the data of a new database.

    Raises:
        subprocess.CalledProcessError: One of Postgres' programs failed; its output says why.
        OSError: A file could not be written.
    """
    new = place.folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    locale = "C" if sys.platform == "darwin" else "C.UTF-8"
    options = ["--username=postgres", "--auth=reject", "--encoding=UTF8", f"--locale={locale}", "--no-instructions"]
    run([programs / "initdb", *options, "--no-sync", "--pgdata", new])
    (new / "pg_hba.conf").write_text(HBA)
    with (new / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION)

    password = place.password()
    statements = (
        f"CREATE ROLE {USER} LOGIN PASSWORD '{password}'",
        f"ALTER DATABASE postgres RENAME TO {DATABASE}",  # which is quicker than making one more
        f"ALTER DATABASE {DATABASE} OWNER TO {USER}",
    )
    # A server of one process, that speaks with its stdin alone: nobody can connect, and nothing is in its arguments.
    # The first error ends it, and what it says does not repeat the statement: there is a password in one.
    said = ["-c", "exit_on_error=true", "-c", "log_min_error_statement=panic"]
    single: list[str | Path] = [programs / "postgres", "--single", "-F", "-D", new, *said, "template1"]
    run(single, "".join(f"{each}\n" for each in statements))
    run([programs / "initdb", "--sync-only", "--pgdata", new])
    new.rename(place.data)


def run(command: list[str | Path], given: str = "") -> str:
    """Run one of Postgres' programs and give what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["LC_ALL"] = "C"
    return subprocess.run(
        command, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, env=environment
    ).stdout
