"""Certificates for tests: a CA by trustme, and what trustme cannot issue, by cryptography."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dnslb.net.tls import TlsFiles


@dataclass(frozen=True)
class Authority:
    """A CA whose certificates are files below ``directory``."""

    ca: trustme.CA
    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        directory.mkdir(exist_ok=True)
        authority = cls(trustme.CA(), directory)
        authority.ca.cert_pem.write_to_path(str(directory / "ca.pem"))
        return authority

    def issue(self, name: str, *hosts: str, not_after: datetime.datetime | None = None) -> TlsFiles:
        """Certificate and key in files of their own, trusting this CA."""
        leaf = self.ca.issue_cert(*hosts, common_name=name, not_after=not_after)
        files = self._files(name)
        assert files.cert is not None
        assert files.key is not None
        leaf.cert_chain_pems[0].write_to_path(str(files.cert))
        leaf.private_key_pem.write_to_path(str(files.key))
        return files

    def issue_with_uris(self, name: str, host: str, *uris: str) -> TlsFiles:
        """The same, with URIs among the subject's alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = self._issuer_key()
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName(host), *map(x509.UniformResourceIdentifier, uris)]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        files = self._files(name)
        assert files.cert is not None
        assert files.key is not None
        files.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def revoke(self, *revoked: TlsFiles) -> Path:
        """A list of revoked certificates."""
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now - datetime.timedelta(days=1))
            .next_update(now + datetime.timedelta(days=1))
        )
        for files in revoked:
            assert files.cert is not None
            certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(now - datetime.timedelta(hours=1))
                .build()
            )
        path = self.directory / "crl.pem"
        crl = builder.sign(self._issuer_key(), hashes.SHA256())
        path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return path

    def _issuer_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _files(self, name: str) -> TlsFiles:
        return TlsFiles(
            ca=self.directory / "ca.pem",
            cert=self.directory / f"{name}.pem",
            key=self.directory / f"{name}.key",
        )


def encrypt_key(path: Path) -> None:
    """Puts a passphrase on a key file."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
