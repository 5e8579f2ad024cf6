"""Certificates for mutual TLS between one client, one scheduler and its workers, made for one session."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

MARGIN = dt.timedelta(days=3650)
"""How far certificates reach to both sides of now: the host's clock may be wrong, and a session may live for months."""


class Certificates(NamedTuple):
    """PEM texts: the authority that all trust, and a key with its certificate for each role."""

    authority: str
    scheduler_key: str
    scheduler_certificate: str
    worker_key: str
    worker_certificate: str
    client_key: str
    client_certificate: str

    def scheduler(self) -> dict[str, object]:
        """Give the arguments of ``distributed.Security`` for the scheduler; the host gets these and the workers'."""
        return {
            "tls_ca_file": self.authority,
            "tls_scheduler_key": self.scheduler_key,
            "tls_scheduler_cert": self.scheduler_certificate,
            "require_encryption": True,
        }

    def worker(self) -> dict[str, object]:
        """Give the arguments of ``distributed.Security`` for a worker; its tasks may use the client's role."""
        return {
            "tls_ca_file": self.authority,
            "tls_worker_key": self.worker_key,
            "tls_worker_cert": self.worker_certificate,
            "tls_client_key": self.worker_key,
            "tls_client_cert": self.worker_certificate,
            "require_encryption": True,
        }

    def client(self) -> dict[str, object]:
        """Give the arguments of ``distributed.Security`` for this side."""
        return {
            "tls_ca_file": self.authority,
            "tls_client_key": self.client_key,
            "tls_client_cert": self.client_certificate,
            "require_encryption": True,
        }


def make_certificates() -> Certificates:
    """Make an authority of our own, and a key and a certificate of it for each role.

    The authority's key is forgotten at once: nobody can make a further certificate for this session.
    """
    now = dt.datetime.now(dt.UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simmate-remote session")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - MARGIN)
            .not_valid_after(now + MARGIN)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
            .sign(authority_key, hashes.SHA256())
        )

    texts = [_pem(certificate(authority_name, authority_key, authority=True))]
    for role in ("scheduler", "worker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, role)])
        texts.append(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
        texts.append(_pem(certificate(name, key, authority=False)))
    return Certificates(*texts)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
