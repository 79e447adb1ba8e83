"""Certificates of an authority of our own, made when a test needs them."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

A_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    def tls(self) -> ssl.SSLContext:
        """A server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """Signs certificates; its own is in the file `certificate`."""

    def __init__(self, directory: Path, name: str = "authority"):
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._own = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), None)
        self.certificate = directory / f"{name}.pem"
        self.certificate.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, address: str | None = None, days: tuple[int, int] = (-1, 1)) -> Pair:
        """A certificate for a name, and for an IP address where one is given; valid between these days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        also: list[x509.GeneralName] = [x509.DNSName(name)]
        if address:
            also.append(x509.IPAddress(ipaddress.ip_address(address)))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = self._signed(subject, key, x509.BasicConstraints(ca=False, path_length=None), also, days)
        pair = Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        pair.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        pair.key.chmod(0o600)
        return pair

    def _signed(self, subject, key, constraints, also, days=(-1, 1)):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * A_DAY)
            .not_valid_after(now + days[1] * A_DAY)
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if constraints.ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if also:
            builder = builder.add_extension(x509.SubjectAlternativeName(also), critical=False)
        return builder.sign(self._key, hashes.SHA256())
