"""What our own certificate says, and whether our peers will have it.

The standard library shows the names in a certificate only to whoever has verified it. So we shake
hands with ourselves, in memory, with the files that we would use and as our peers would. Only the
times are left out: what has expired is for the caller to judge, who has a clock.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from dnslb.net.tls import (
    CertificateNames,
    TlsError,
    TlsFiles,
    client_context,
    handshake_sentence,
    server_context,
)

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME (x509_vfy.h), which Python does not name
ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """Valid from ``begins_wall`` to ``ends_wall``, in seconds since 1970."""

    names: CertificateNames
    begins_wall: float
    ends_wall: float


def read_own(files: TlsFiles, host: str) -> OwnCertificate:
    """``host``: where we are reached. Raises `TlsError` for what peers with the same files would
    refuse, on either side of a stream."""
    contexts = server_context(files), client_context(files)
    for context in contexts:
        context.verify_flags |= NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts[0].wrap_bio(to_server, to_client, server_side=True)
    client = contexts[1].wrap_bio(to_client, to_server, server_hostname=host)
    try:
        for _ in range(ROUNDS_MAX):
            waiting = [end for end in (client, server) if not _shake_hands(end)]
            if not waiting:
                break
    except ssl.SSLError as error:
        sentence = handshake_sentence(error)
        raise TlsError(f"{files.cert} is of no use at {host}: {sentence}") from error
    found = client.getpeercert() or {}
    return OwnCertificate(
        CertificateNames.from_peercert(found),
        ssl.cert_time_to_seconds(str(found["notBefore"])),
        ssl.cert_time_to_seconds(str(found["notAfter"])),
    )


def _shake_hands(end: ssl.SSLObject) -> bool:
    """Whether this end is done."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
