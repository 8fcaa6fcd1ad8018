"""TLS for `remote`: certificates out of files, and what goes wrong with them as sentences.

Loaded only when certificates are given, since importing ssl costs a fifth of a whole
``dnslbctl status``.

Law: both sides prove who they are; an end of the stream that nobody announced is no end.
"""

from __future__ import annotations

import ssl

from dnslbctl.client import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    import socket

# By X509_V_ERR_* (x509_vfy.h): why we refuse the member's certificate.
_ITS = {
    9: "is not valid yet (is a clock wrong?)",
    10: "has expired",
    18: "is self-signed, not issued by our CA",
    19: "comes from another CA than --ca names",
    20: "comes from another CA than --ca names",
    21: "comes from another CA than --ca names",
    26: "is not a member's",
    62: "is for other host names than the one that was asked for",
    64: "is for other addresses than the one that was asked for",
}
# By OpenSSL's reason codes (sslerr.h): alerts, by which it says what it has against us,
_TOLD = {
    "TLSV1_ALERT_UNKNOWN_CA": "it refuses our certificate: it comes from another CA than its own",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it refuses our certificate: expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it refuses our certificate: revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate: not valid, or not yet",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it refuses our certificate: not meant for clients",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "it could not verify our signature",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate: --crt and --key",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it accepts none of our TLS settings",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak our versions of TLS",
}
# and what it looks like when nobody there expects TLS.
_STRANGE = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS; without --ca, --crt and --key it may answer",
    "UNEXPECTED_EOF_WHILE_READING": "it hung up: it may serve without TLS, or its log says why",
}
_HUNG_UP = _STRANGE["UNEXPECTED_EOF_WHILE_READING"]


class Credentials:
    """Our certificate and its key, and the CA that members' certificates come from.

    Raises `Failed` for files that cannot be used.
    """

    def __init__(self, ca: str, crt: str, key: str) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        _check(ca, "--ca", "CERTIFICATE")
        _check(crt, "--crt", "CERTIFICATE")
        _check(key, "--key", "PRIVATE KEY")
        try:
            self.context.load_verify_locations(ca)
        except ssl.SSLError as error:
            raise Failed(f"--ca {ca}: damaged, or no certificate") from error

        def refuse_to_ask() -> str:
            raise Failed(f"--key {key}: the key is encrypted; store it without a passphrase")

        try:
            self.context.load_cert_chain(crt, key, password=refuse_to_ask)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise Failed(f"--key {key} does not belong to --crt {crt}") from error
            raise Failed(f"--crt {crt} and --key {key}: damaged, or not a pair") from error

    def secure(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        """The same connection after the handshake; raises OSError."""
        return self.context.wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)

    def why_refused(self, error: OSError) -> str:
        """In words, why the handshake failed; "" where it was not TLS that did."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate {_ITS.get(error.verify_code, error.verify_message)}"
        if isinstance(error, ConnectionError):
            return _HUNG_UP
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        return _STRANGE.get(reason or "") or self.why_told(error)

    def why_told(self, error: OSError) -> str:
        """In words, what the member has against our half of the handshake; "" for nothing."""
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        return _TOLD.get(reason or "", "")


def _check(path: str, option: str, what: str) -> None:
    """Names the file at fault, which OpenSSL's messages do not."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "this is no file name"
        raise Failed(f"{option} {path} cannot be read: {why}") from error
    if f"{what}-----".encode() not in content:
        raise Failed(f"{option} {path}: a PEM file with a {what.lower()} was expected")
