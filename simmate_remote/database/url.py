"""The URL of a Postgres server, taken apart without libpq, which a session's process does without."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

PORT = "5432"
SOCKETS = ("/var/run/postgresql", "/run/postgresql", "/tmp")  # noqa: S108 - where servers put their sockets
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TLS_VERSIONS = {"TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
"""Those of TLS that can be demanded, and Python's names for them."""

TLS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "sslcertmode",
    "sslnegotiation",
    "sslsni",
    "sslcompression",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "channel_binding",
    "gssencmode",
)
"""The options that say how a connection over a network is encrypted."""

_ONLY: dict[str, tuple[str, ...]] = {
    "sslmode": MODES,
    "sslnegotiation": ("postgres",),
    "sslsni": ("1",),
    "sslcertmode": ("allow", "disable"),
    "ssl_min_protocol_version": tuple(TLS_VERSIONS),
    "ssl_max_protocol_version": tuple(TLS_VERSIONS),
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
}
"""Options of which we keep only these values, where a connection is made for a worker."""

_NONE = {
    "service": "write what it stands for into the URL",
    "servicefile": "write what it stands for into the URL",
    "requirepeer": "it is about a socket that workers do not see",
}
"""Options that we do not keep, and why, or what to do instead."""

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


def unsupported(url: str) -> str | None:
    """Name what libpq would do with a URL, and connections that are made for workers would not; None: nothing.

    What is silently left out of an address could be what its owner relies on.
    """
    options = _options(url)
    places = [urlsplit(url).netloc.rpartition("@")[2], *(value for name, value in options if name in _PLACES)]
    if any("," in place for place in places):
        return "a URL names one server, and this one names several"
    for name, value in options:
        if name in _NONE:
            return f"{name}= cannot be used here: {_NONE[name]}"
        if name in _ONLY and value not in _ONLY[name]:
            return f"{name}={value} cannot be used here, only {' or '.join(_ONLY[name])}"
    return None


_PLACES = ("host", "hostaddr", "port")


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
    options = [(unquote(name), unquote(value)) for name, _, value in parts]
    return [("sslmode", "require") if option == ("ssl", "true") else option for option in options]
