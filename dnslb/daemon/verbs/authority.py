"""A certificate authority in a directory: ``ca.crt``, ``ca.key`` and what it issued beside them.

Not who may do what with a certificate: its roles are read in `dnslb.net.tls`. Nothing else in
dnslb loads cryptography.

Law: no file is ever overwritten; a key is for its owner alone from its first byte on; what fails
half-way leaves no file behind.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dnslb.errors import DnslbError, LocalError
from dnslb.net.tls import INSTANCE_PREFIX, ROLE_PREFIX

Role = Literal["member", "operator", "viewer", "agent"]
ROLES: tuple[Role, ...] = get_args(Role)
CA_DAYS = 3650
DAYS = 825
"""The most that clients of any kind still accept of a server's certificate."""
BEGUN_S = 3600.0
"""A certificate is valid from this long before it was made: clocks differ."""
FILE_BYTES_MAX = 65_536

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Files(NamedTuple):
    """Where a certificate and its key stand, and until when (UTC) it is valid."""

    cert: Path
    key: Path
    ends: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """What a certificate is to say. ``hosts``: names and addresses at which its owner serves.

    ``days`` None: `DAYS`, or as long as the CA lasts.
    """

    name: str
    role: Role
    hosts: tuple[str, ...] = ()
    days: int | None = None


def make_authority(directory: Path, days: int, wall_s: float) -> Files:
    """A new CA in ``directory``, which is made where it is missing. Raises `DnslbError`."""
    files = _files(directory, "ca", _end(wall_s, days))
    _refuse_to_overwrite(files, f"{directory} has a CA already: name another directory with -dir")
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Two CAs in one file of trusted certificates are told apart by their names.
    name = _common_name(f"dnslb CA {serial:x}"[:17])
    skid = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, serial, wall_s, files.ends)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(skid, critical=False)
        .sign(key, hashes.SHA256())
    )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"{directory} cannot be made: {error.strerror}") from error
    _write_pair(files, certificate, key)
    return files


class Authority:
    """The CA in ``directory``, as `make_authority` made it. Raises `DnslbError`."""

    def __init__(self, directory: Path, wall_s: float) -> None:
        self._directory = directory
        self._wall_s = wall_s
        cert, key = directory / "ca.crt", directory / "ca.key"
        if not cert.exists() and not key.exists():
            raise DnslbError(f"there is no CA in {directory}: make one with dnslb pki init")
        self._certificate = _load_certificate(cert)
        self._key = _load_key(key)
        if self._key.public_key() != self._certificate.public_key():
            raise DnslbError(f"{key} does not belong to {cert}")
        if not _may_sign(self._certificate):
            raise DnslbError(f"{cert} is no certificate of a CA")
        self._ends = self._certificate.not_valid_after_utc
        if self._ends.timestamp() <= wall_s:
            raise DnslbError(f"{cert} has expired, on {self._ends:%Y-%m-%d}: make a new CA")

    def issue(self, wish: Wish) -> Files:
        """A key and its certificate, in files named after ``wish.name``. Raises `DnslbError`."""
        ends = _end(self._wall_s, wish.days or DAYS)
        if ends > self._ends:
            if wish.days is not None:
                raise DnslbError(
                    f"-days {wish.days} is longer than the CA lasts, until {self._ends:%Y-%m-%d}"
                )
            ends = self._ends
        files = _files(self._directory, wish.name, ends)
        _refuse_to_overwrite(
            files, "move both files of the old pair away to renew it, or choose another name"
        )
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        builder = (
            _builder(_common_name(wish.name), self._certificate.subject, serial, self._wall_s, ends)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_purposes(wish.role)), critical=False)
            .add_extension(x509.SubjectAlternativeName(_names(wish)), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(_authority_key(self._certificate), critical=False)
        )
        _write_pair(files, builder.sign(self._key, hashes.SHA256()), key)
        return files


# ------------------------------------------------------------------------- what certificates say


def _builder(
    subject: x509.Name, issuer: x509.Name, serial: int, wall_s: float, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(wall_s - BEGUN_S, UTC))
        .not_valid_after(ends)
    )


def _end(wall_s: float, days: int) -> datetime:
    return datetime.fromtimestamp(int(wall_s), UTC) + timedelta(days=days)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names(wish: Wish) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(wish.hosts):
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    names.append(x509.UniformResourceIdentifier(ROLE_PREFIX + wish.role))
    if wish.role == "member":
        names.append(x509.UniformResourceIdentifier(INSTANCE_PREFIX + wish.name))
    return names


def _purposes(role: Role) -> list[x509.ObjectIdentifier]:
    # Members dial each other; all others only ask. None of them can stand in for a member.
    serves = [ExtendedKeyUsageOID.SERVER_AUTH] if role == "member" else []
    return [*serves, ExtendedKeyUsageOID.CLIENT_AUTH]


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        skid = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        skid = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(skid)


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


# --------------------------------------------------------------------------------------- files


def _files(directory: Path, stem: str, ends: datetime) -> Files:
    return Files(directory / f"{stem}.crt", directory / f"{stem}.key", ends)


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(_read(path))
        certificate.public_key()
        return certificate
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DnslbError(f"{path} holds no PEM certificate that can be read") from error


def _load_key(path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except TypeError as error:  # this is how cryptography says that a passphrase is wanted
        raise DnslbError(f"{path} is encrypted; store it without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm):
        # Without its cause, which may quote the key.
        raise DnslbError(f"{path} holds no PEM private key that can be read") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise DnslbError(f"{path} is a key of an unexpected kind: EC or RSA was expected")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise DnslbError(f"{path} is larger than {FILE_BYTES_MAX} bytes: a PEM file was expected")
    return content


def _refuse_to_overwrite(files: Files, instead: str) -> None:
    for path in (files.cert, files.key):
        if path.exists() or path.is_symlink():
            raise DnslbError(f"{path} exists and is not overwritten; {instead}")


def _write_pair(files: Files, certificate: x509.Certificate, key: PrivateKey) -> None:
    key_bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    cert_bytes = certificate.public_bytes(serialization.Encoding.PEM)
    _write_new(((files.key, key_bytes, 0o600), (files.cert, cert_bytes, 0o644)))


def _write_new(contents: Sequence[tuple[Path, bytes, int]]) -> None:
    made: list[Path] = []
    try:
        for path, content, mode in contents:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags, mode), "wb") as file:
                made.append(path)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except BaseException as error:
        for one in made:
            with contextlib.suppress(OSError):
                one.unlink()
        if isinstance(error, OSError):
            raise LocalError(f"{path} cannot be written: {error.strerror}") from error
        raise
