"""How a connection from here to a server is encrypted, by libpq's options, for connections that libpq does not make."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from simmate_remote.database.url import TLS_VERSIONS

_FOLDER = "~/.postgresql"
_VARIABLES = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir")
_LIMITS = {"ssl_min_protocol_version": "minimum_version", "ssl_max_protocol_version": "maximum_version"}


def with_variables(parameters: Mapping[str, str]) -> dict[str, str]:
    """Give libpq's parameters with what its variables say of TLS, such as PGSSLMODE, where they are silent."""
    said = {name: os.environ.get(f"PG{name.upper()}") for name in _VARIABLES}
    said |= {name: os.environ.get(f"PG{name.upper().replace('_', '')}") for name in _LIMITS}
    return {name: value for name, value in said.items() if value} | dict(parameters)


def context_of(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """Make what encrypts and checks a connection, as libpq would.

    Args:
        parameters: libpq's.

    Raises:
        OSError: A file that is named cannot be read, or is not what it should be.
    """
    mode, system = parameters.get("sslmode", "prefer"), parameters.get("sslrootcert") == "system"
    context = ssl.create_default_context()
    roots = _file(parameters, "sslrootcert", "root.crt")
    if not system and (roots.exists() or mode.startswith("verify")):
        context = ssl.create_default_context(cafile=str(roots))
    elif not mode.startswith("verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if mode != "verify-full" and not system:
        context.check_hostname = False
    _load_revoked(context, parameters)
    own = _file(parameters, "sslcert", "postgresql.crt")
    if own.exists() and parameters.get("sslcertmode") != "disable":
        context.load_cert_chain(own, _file(parameters, "sslkey", "postgresql.key"), parameters.get("sslpassword"))
    for name, attribute in _LIMITS.items():
        if name in parameters:
            setattr(context, attribute, ssl.TLSVersion[TLS_VERSIONS[parameters[name]]])
    return context


def _load_revoked(context: ssl.SSLContext, parameters: Mapping[str, str]) -> None:
    """Load the lists of certificates that are no longer valid; one that is named has to be there."""
    file, folder = _file(parameters, "sslcrl", "root.crl"), parameters.get("sslcrldir")
    named = "sslcrl" in parameters or (not folder and file.exists())
    if named:
        context.load_verify_locations(cafile=str(file))
    if folder:
        context.load_verify_locations(capath=str(Path(folder).expanduser()))
    if named or folder:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN


def _file(parameters: Mapping[str, str], name: str, usual: str) -> Path:
    return Path(parameters.get(name) or f"{_FOLDER}/{usual}").expanduser()
