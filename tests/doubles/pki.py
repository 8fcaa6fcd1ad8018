"""Certificates for tests: authorities on disk, as PEM files that `dnslb.net.tls` reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import trustme

from dnslb.net.tls import TlsFiles


class Authority:
    """A CA that issues certificates into files below ``directory``."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(
        self,
        *identities: str,
        common_name: str | None = None,
        expired: bool = False,
        trusting: Authority | None = None,
        name: str = "",
    ) -> TlsFiles:
        """A certificate and key, together with the CA that its owner trusts (default: this)."""
        not_after = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
        leaf = self._ca.issue_cert(*identities, common_name=common_name, not_after=not_after)
        stem = name or common_name or identities[0]
        cert, key = self.directory / f"{stem}.crt", self.directory / f"{stem}.key"
        cert.unlink(missing_ok=True)
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(str(cert), append=True)
        leaf.private_key_pem.write_to_path(str(key))
        return TlsFiles(ca=(trusting or self).ca_file, cert=cert, key=key)
