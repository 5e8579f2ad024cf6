"""The URL of a Postgres server, taken apart without libpq, which a session's process does without."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

PORT = "5432"
SOCKETS = ("/var/run/postgresql", "/run/postgresql", "/tmp")  # noqa: S108 - where servers put their sockets
TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "channel_binding", "gssencmode")
"""The options that say how a connection over a network is encrypted."""

SECRET = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""The options that are not to be shown."""


def without_password(url: str) -> str:
    """Give a URL as it may be shown: with ``***`` in the place of a password; of one that is none, its scheme alone."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    user, separator, place = parts.netloc.rpartition("@")
    if separator and ":" in user:
        parts = parts._replace(netloc=f"{user.partition(':')[0]}:***@{place}")
    options = [(name, "***" if name in SECRET else value) for name, value in _options(url)]
    return urlunsplit(parts._replace(query=urlencode(options, safe="*/", quote_via=quote)))


def parameters_of(url: str) -> dict[str, str]:
    """Give what a URL says, by libpq's names; what it leaves out is what libpq would take, but for the password."""
    parts = urlsplit(url)
    given = {
        "host": unquote(parts.hostname or ""),
        "port": str(parts.port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
        **dict(_options(url)),
    }
    found = {name: value for name, value in given.items() if value}
    sockets = [folder for folder in SOCKETS if Path(folder, f".s.PGSQL.{found.get('port', PORT)}").exists()]
    found.setdefault("host", os.environ.get("PGHOST") or (sockets or ["localhost"])[0])
    found.setdefault("port", os.environ.get("PGPORT") or PORT)
    found.setdefault("user", os.environ.get("PGUSER") or getpass.getuser())
    found.setdefault("dbname", os.environ.get("PGDATABASE") or found["user"])
    return found


def find_password(parameters: dict[str, str]) -> str | None:
    """Give the password of a connection: as it says, or as libpq finds it in PGPASSWORD or a password file."""
    if given := parameters.get("password") or os.environ.get("PGPASSWORD"):
        return given
    path = Path(parameters.get("passfile") or os.environ.get("PGPASSFILE") or "~/.pgpass").expanduser()
    wanted = [parameters[name] for name in ("host", "port", "dbname", "user")]
    if wanted[0].startswith("/"):
        wanted[0] = "localhost"
    try:
        if path.stat().st_mode & 0o077:
            return None  # libpq passes over a file that others can read
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        fields = _fields(line)
        if len(fields) == 5 and all(field in ("*", value) for field, value in zip(fields, wanted, strict=False)):
            return fields[4]
    return None


def password_line(user: str, password: str) -> str:
    """Give the line of a password file for a user, wherever the database is."""
    escaped = [text.replace("\\", "\\\\").replace(":", "\\:") for text in (user, password)]
    return f"*:*:*:{escaped[0]}:{escaped[1]}\n"


def _fields(line: str) -> list[str]:
    """Take a line of a password file apart; a backslash keeps a colon from ending a field."""
    if line.startswith("#"):
        return []
    fields = [""]
    escaped = False
    for character in line:
        if escaped or character not in ":\\":
            fields[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            fields.append("")
    return fields


def _options(url: str) -> list[tuple[str, str]]:
    # As libpq does it: a plus is a plus.
    parts = (part.partition("=") for part in urlsplit(url).query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in parts]
