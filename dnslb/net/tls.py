"""TLS contexts out of files, the names in a peer's certificate, and failures as sentences.

Law: both sides prove who they are; a context exists only when every file was read and fits. A
changed file is picked up without a restart, and a bad new one leaves the old in force.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from dnslb.errors import ConfigError

ROLE_PREFIX = "urn:dnslb:role:"
INSTANCE_PREFIX = "urn:dnslb:instance:"
MEMBER = "member"


class TlsError(ConfigError):
    """A certificate, key or CA file is unusable; names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files are. ``key`` None: it stands in ``cert``. ``ca`` None: the system's
    (clients only). ``crl``: revoked certificates, signed by the CA that issued them."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    crl: Path | None = None


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """The names in a verified certificate (RFC 5280 4.1.2.6 and 4.2.1.6)."""

    common_name: str | None = None
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The common name and the DNS names: what an agent may call itself."""
        return frozenset((*self.dns_names, *([self.common_name] if self.common_name else [])))

    @property
    def roles(self) -> frozenset[str]:
        """What stands after ``urn:dnslb:role:`` in the URIs; no role is implied by another."""
        return self._after(ROLE_PREFIX)

    @property
    def instances(self) -> frozenset[str]:
        """What stands after ``urn:dnslb:instance:``: the members that its owner may be."""
        return self._after(INSTANCE_PREFIX)

    def why_not_member(self, instance_id: str) -> str | None:
        """Why its owner is not the member ``instance_id``, for the log; None when it is.

        Host names and the common name prove nothing here: a host may be called like an instance.
        """
        whose = repr(self.common_name) if self.common_name else "a nameless owner"
        if MEMBER not in self.roles:
            having = f"role {', '.join(sorted(self.roles))}" if self.roles else "no role"
            return f"the certificate of {whose} has {having}; member was expected"
        if instance_id not in self.instances:
            ids = ", ".join(map(repr, sorted(self.instances))) or "no instance"
            return f"the certificate of {whose} is for {ids}, not for {instance_id!r}"
        return None

    def _after(self, prefix: str) -> frozenset[str]:
        """The prefix is compared without regard to case, as RFC 8141 3.1 wants for ``urn`` and
        the namespace; what follows it with."""
        cut = len(prefix)
        return frozenset(uri[cut:] for uri in self.uris if uri[:cut].lower() == prefix)

    @classmethod
    def from_peercert(cls, certificate: Mapping[str, Any] | None) -> CertificateNames:
        """Out of what ``getpeercert()`` gives; empty for a peer without a certificate."""
        subject = (certificate or {}).get("subject", ())
        alternative = (certificate or {}).get("subjectAltName", ())
        common = [value for rdn in subject for kind, value in rdn if kind == "commonName"]
        return cls(
            common_name=common[-1] if common else None,
            dns_names=tuple(value for kind, value in alternative if kind == "DNS"),
            uris=tuple(value for kind, value in alternative if kind == "URI"),
        )


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """For a server that accepts only clients with a certificate of ``files.ca``.

    Every handshake is a full one: a resumed session would skip a certificate that was revoked
    or has expired since. Raises `TlsError`.
    """
    if files.ca is None:
        raise TlsError("a CA file is needed to know the clients' certificates")
    if files.cert is None:
        raise TlsError("a server needs a certificate file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return _load(context, files)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For a client: verifies the server's name, shows ``files.cert`` if there is one.

    Raises `TlsError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return _load(context, files)


def _load(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path, what in ((files.ca, "CERTIFICATE"), (files.crl, "X509 CRL")):
        if path is None:
            continue
        _check_pem(path, what)
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, OSError) as error:
            raise TlsError(f"{path}: not a usable PEM file ({what.lower()} expected)") from error
    if files.crl is not None:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if files.cert is not None:
        _load_pair(context, files.cert, files.key or files.cert)
    elif files.key is not None:
        raise TlsError(f"{files.key}: a key without a certificate file")
    return context


def _load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    _check_pem(cert, "CERTIFICATE")
    _check_pem(key, "PRIVATE KEY")

    def refuse_to_ask() -> str:
        # Without this, OpenSSL would ask at the daemon's terminal, and wait.
        raise TlsError(f"{key}: the key is encrypted; store it without a passphrase")

    try:
        context.load_cert_chain(cert, key, password=refuse_to_ask)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{key}: the key does not belong to the certificate {cert}") from error
        if error.reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"}:
            raise TlsError(f"{cert}: the certificate's key or signature is too weak") from error
        raise TlsError(f"{cert} and {key}: damaged, or not a certificate and its key") from error
    except OSError as error:
        raise TlsError(f"{cert} or {key} cannot be read: {error.strerror}") from error


def _check_pem(path: Path, what: str) -> None:
    """Names the file at fault, which OpenSSL's messages do not."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path} cannot be read: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise TlsError(f"{path}: not a PEM file")
    if what.encode() + b"-----" not in content:
        raise TlsError(f"{path}: contains no {what.lower()}")


class ReloadingContext:
    """A context that follows its files: certificates are renewed without a restart.

    ``build`` is `server_context` or `client_context`. The first build raises `TlsError`; later
    failures leave the old context in force, stand in ``problem`` and go to ``on_problem`` once.
    """

    def __init__(
        self,
        files: TlsFiles,
        build: Callable[[TlsFiles], ssl.SSLContext],
        *,
        on_problem: Callable[[TlsError], None],
    ) -> None:
        self._files = files
        self._build = build
        self._on_problem = on_problem
        self._seen = self._signature()
        self._context = build(files)
        self.problem: TlsError | None = None

    def context(self) -> ssl.SSLContext:
        """The context of the newest good files; four stat calls when nothing changed."""
        signature = self._signature()
        if signature != self._seen:
            # Remembered before the build: a bad set is tried once, not at each connection. The
            # files of a half-done renewal change again when it is complete.
            self._seen = signature
            try:
                self._context = self._build(self._files)
                self.problem = None
            except TlsError as error:
                self.problem = error
                self._on_problem(error)
        return self._context

    def _signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        files = self._files
        return tuple(_stamp(path) for path in (files.ca, files.cert, files.key, files.crl))


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class TlsListener(trio.abc.Listener["trio.SSLStream[trio.SocketStream]"]):
    """Accepts TLS connections with the context of the moment; the handshake is the caller's."""

    def __init__(
        self,
        listener: trio.abc.Listener[trio.SocketStream],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        self.transport_listener = listener
        self._context = context

    async def accept(self) -> trio.SSLStream[trio.SocketStream]:
        stream = await self.transport_listener.accept()
        return trio.SSLStream(stream, self._context(), server_side=True)

    async def aclose(self) -> None:
        await self.transport_listener.aclose()


# By OpenSSL's reason codes (sslerr.h) for what either side finds or is told by an alert.
_SENTENCES = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "our certificate was refused by the peer: it does not know our CA",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer requires a certificate and got none",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate was refused by the peer: expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate was refused by the peer: revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": "our certificate was refused by the peer: bad certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "our certificate was refused by the peer",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "our certificate was refused by the peer: wrong kind",
    "TLSV1_ALERT_ACCESS_DENIED": "our certificate was refused by the peer: access denied",
    "TLSV1_ALERT_DECRYPT_ERROR": "the peer could not verify our signature",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer accepted none of our TLS settings",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer does not speak our TLS versions",
    "UNSUPPORTED_PROTOCOL": "the peer speaks only an outdated TLS version",
    "NO_SHARED_CIPHER": "the peer has no cipher in common with us",
    "HTTP_REQUEST": "the peer speaks plain HTTP to a TLS port",
    "HTTPS_PROXY_REQUEST": "the peer speaks plain HTTP to a TLS port",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the peer hung up during the handshake",
}

# By X509_V_ERR_* (x509_vfy.h): why we refuse the peer's certificate.
_VERIFY_SENTENCES = {
    2: "its issuer is not in our CA file",
    3: "our list of revoked certificates is not from its issuer",
    9: "it is not valid yet (is a clock wrong?)",
    10: "it has expired",
    12: "our list of revoked certificates has expired",
    18: "it is self-signed, not issued by our CA",
    19: "it comes from an unknown CA",
    20: "it comes from an unknown CA",
    21: "it comes from an unknown CA",
    23: "it has been revoked",
    26: "it is not meant for this use (client or server)",
    62: "it is for another host name",
    64: "it is for another address",
}


def handshake_sentence(error: BaseException) -> str:
    """What went wrong in a handshake, or right after it, in words for an operator.

    Under TLS 1.3 a client's handshake succeeds before the server has judged its certificate, so
    a client that is hung up on before any answer should ask `hung_up_sentence`.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return "the peer hung up during the handshake"
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = _VERIFY_SENTENCES.get(cause.verify_code, cause.verify_message)
        return f"the peer's certificate is refused: {why}"
    if isinstance(cause, ssl.SSLEOFError):
        return _SENTENCES["UNEXPECTED_EOF_WHILE_READING"]
    reason = getattr(cause, "reason", None) or ""  # set only by OpenSSL itself
    return (
        _SENTENCES.get(reason) or f"TLS failed: {(reason or str(cause)).replace('_', ' ').lower()}"
    )


def hung_up_sentence() -> str:
    """For a TLS client that got end of file instead of its first answer (RFC 8446 4.4.2.4)."""
    return "the server hung up before answering: it may have refused our certificate"
