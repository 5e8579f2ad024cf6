"""Which database is used: an embedded Postgres, unless ``database.yaml`` or SIMMATE_REMOTE_DATABASE names another."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import platformdirs

from simmate_remote.database.url import unsupported, without_password
from simmate_remote.errors import DatabaseConfigurationError, Remedy

VARIABLE = "SIMMATE_REMOTE_DATABASE"
POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
LEASE = 300.0
"""Seconds that the embedded server stays when nobody uses it."""

Kind = Literal["embedded", "postgresql", "sqlite"]
_FIELDS = ("url", "reach", "host", "lease")


@dataclass(frozen=True)
class Configuration:
    """Which database is used.

    Args:
        kind: ``embedded``, ``postgresql`` (a server of one's own) or ``sqlite``.
        url: Of a server, in libpq's form, with all that the user wrote; of SQLite, the file's path. Empty: embedded.
        reach: From where a server of one's own is reached: ``here``, or the ``host`` that is named.
        host: The host from which it is reached, as the inventory calls it.
        lease: Seconds that the embedded server stays when nobody uses it.
        source: Where this was said, for people.
        folder: Where the embedded server keeps its data.
    """

    kind: Kind
    url: str
    reach: Literal["here", "host"]
    host: str | None
    lease: float
    source: str
    folder: Path

    @property
    def shown(self) -> str:
        """The address for people, without a password."""
        if self.kind == "embedded":
            return f"embedded Postgres in {self.folder}"
        return f"SQLite in {self.url}" if self.kind == "sqlite" else without_password(self.url)


def file_path() -> Path:
    """Give the file that says which database is used; it need not be there."""
    return platformdirs.user_config_path("simmate-remote") / "database.yaml"


def load() -> Configuration:
    """Read which database is used.

    Raises:
        DatabaseConfigurationError: The file or the variable says what cannot be, or others can read a password in it.
    """
    path, fields = file_path(), {}
    source = "the default"
    if path.exists():
        fields, source = _read(path), str(path)
    if given := os.environ.get(VARIABLE):
        fields, source = {"lease": fields.get("lease"), "url": given}, VARIABLE
    return _configuration({name: value for name, value in fields.items() if value is not None}, source)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise _wrong(f"{path}: expected fields such as `url: postgresql://me@db.uni.edu/simmate`")
    for name in fields:
        if name not in _FIELDS:
            raise _wrong(f"{path}: there is no field {name!r}; there are {', '.join(_FIELDS)}")
    if "***" not in without_password(str(fields.get("url", ""))) or not stat.S_IMODE(path.stat().st_mode) & 0o077:
        return fields
    raise DatabaseConfigurationError(
        f"{path} has a password in it, and others can read it",
        meanwhile="it is not used",
        remedies=(Remedy(f"chmod 600 {shlex.quote(str(path))}", "keeps it to yourself"),),
    )


def _configuration(fields: dict[str, Any], source: str) -> Configuration:
    url, reach, host = fields.get("url", ""), fields.get("reach", "here"), fields.get("host")
    if not isinstance(url, str):
        raise _wrong(f"{source}: `url` is a text such as postgresql://me@db.uni.edu/simmate")
    if reach not in ("here", "host"):
        raise _wrong(f"{source}: `reach` is `here` or `host`, not {reach!r}")
    if (reach == "host") != (host is not None):
        raise _wrong(f"{source}: `reach: host` and `host: NAME` go together: the host that reaches the database")
    kind, url = _kind_and_url(url, source)
    if reach == "host" and kind != "postgresql":
        raise _wrong(f"{source}: `reach: host` is for a postgresql:// URL")
    return Configuration(
        kind=kind,
        url=url,
        reach=reach,
        host=host,
        lease=_seconds(fields.get("lease", LEASE), source),
        source=source,
        folder=platformdirs.user_data_path("simmate-remote") / "database",
    )


ESCAPED = "in a user or a password, / ? # and @ are written as %2F, %3F, %23 and %40"


def _kind_and_url(url: str, source: str) -> tuple[Kind, str]:
    if not url:
        return "embedded", ""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        # As SQLAlchemy has it: four slashes and an absolute path. One that is relative would be another file for each
        # program: a session's process is in the folder /, and this one where a person happens to be.
        path = Path(unquote(rest.removeprefix("/"))).expanduser()
        if not rest.startswith("/") or not path.name or "?" in rest:
            raise _wrong(f"{source}: SQLite needs a file, and nothing else, as in sqlite:////home/me/runs.db")
        if not path.is_absolute():
            raise _wrong(
                f"{source}: SQLite needs the whole path of its file, since {path} is another file in each folder; "
                f"here it would be sqlite:///{path.absolute()}"
            )
        return "sqlite", str(path)
    if not separator or scheme not in POSTGRES:
        shown = f"{scheme}://…" if separator else "a text without ://"
        raise _wrong(
            f"{source}: {shown} is no database that can be used here: postgresql://USER@SERVER/NAME, or sqlite:////FOLDER/FILE"
        )
    url = f"postgresql://{rest}"
    try:
        refused, parts = unsupported(url), urlsplit(url)
        _ = refused or parts.port
    except ValueError:
        # Its own words may have a part of the password in them.
        raise _wrong(f"{source}: the host or the port of the URL cannot be understood; {ESCAPED}") from None
    if parts.fragment or "#" in url or "@" in parts.path or "@" in parts.query:
        raise _wrong(f"{source}: the URL cannot be understood; {ESCAPED}")
    if refused:
        raise _wrong(f"{source}: {refused}")
    return "postgresql", url


def _seconds(lease: object, source: str) -> float:
    if isinstance(lease, float):
        return lease
    from simmate_remote.inventory.quantities import Duration

    try:
        return float(Duration.parse(str(lease)))
    except ValueError as error:
        raise _wrong(f"{source}: `lease`: {error}") from error


def _wrong(what: str) -> DatabaseConfigurationError:
    remedies = (Remedy("simmate-remote database status", "shows what is used"),)
    return DatabaseConfigurationError(what, meanwhile="no database was opened or changed", remedies=remedies)
