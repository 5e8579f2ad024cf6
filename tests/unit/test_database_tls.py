"""TLS to a server of the user's own, by libpq's options: whom it trusts, and whom no longer."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simmate_remote.database.tls import context_of, with_variables
from simmate_remote.database.url import parameters_of

BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
PEM = serialization.Encoding.PEM


class Authority:
    """Signs a server's certificate, and takes it back.

    Args:
        folder: Has the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        own = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.roots = self._write("roots.crt", own.public_bytes(PEM))
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        self._server = self._certificate(server, key, address)
        plain = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(
            self._write("server.crt", self._server.public_bytes(PEM)), self._write("server.key", plain)
        )

    def revoked(self, *, server: bool) -> Path:
        """Write the list of what is no longer valid, with the server's certificate in it or without."""
        made = x509.CertificateRevocationListBuilder(self._name, BEGIN, END)
        if server:
            entry = x509.RevokedCertificateBuilder(self._server.serial_number, BEGIN).build()
            made = made.add_revoked_certificate(entry)
        return self._write(f"{server}.crl", made.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        made = x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number(), BEGIN, END)
        return made.add_extension(extension, critical=True).sign(self._key, hashes.SHA256())

    def _write(self, name: str, content: bytes) -> Path:
        (self._folder / name).write_bytes(content)
        return self._folder / name


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def connect(authority: Authority, options: str) -> str:
    """Shake hands with the server as a URL's options say, and give the version of TLS."""
    client = context_of(with_variables(parameters_of(f"postgresql://me@127.0.0.1/runs?{options}")))
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname="127.0.0.1")
    theirs = authority.context.wrap_bio(up, down, server_side=True)
    for side in (ours, theirs) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return ours.version() or ""


def test_a_server_whose_certificate_was_taken_back_is_refused(authority: Authority) -> None:
    trusted = f"sslmode=verify-full&sslrootcert={authority.roots}"
    assert connect(authority, trusted) == "TLSv1.3"
    assert connect(authority, f"{trusted}&sslcrl={authority.revoked(server=False)}") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
        connect(authority, f"{trusted}&sslcrl={authority.revoked(server=True)}")
    with pytest.raises(FileNotFoundError):
        connect(authority, f"{trusted}&sslcrl=/no/such/list")


def test_the_usual_list_counts_if_it_is_there(authority: Authority, user_folders: Path) -> None:
    trusted = f"sslmode=verify-full&sslrootcert={authority.roots}"
    (user_folders / "home/.postgresql").mkdir()
    (user_folders / "home/.postgresql/root.crl").write_bytes(authority.revoked(server=True).read_bytes())
    with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
        connect(authority, trusted)


def test_a_version_of_tls_is_kept_to(authority: Authority) -> None:
    assert connect(authority, "ssl_max_protocol_version=TLSv1.2") == "TLSv1.2"


def test_libpqs_variables_count_where_the_url_is_silent(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect(authority, "") == "TLSv1.3"
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(authority, "")
    assert connect(authority, f"sslrootcert={authority.roots}") == "TLSv1.3"


def test_ssl_true_is_what_libpq_takes_it_for() -> None:
    assert parameters_of("postgresql://me@db/runs?ssl=true")["sslmode"] == "require"
