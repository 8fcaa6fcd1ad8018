"""Which certificates an https check believes: by default those that this machine trusts.

Law: a machine that trusts nobody knows nothing about any server: its https checks prove nothing.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import trio

from dnslb.errors import ConfigError
from dnslb.net.tls import TlsFiles, client_context
from dnslb.sources.checks.result import CheckFailed, CheckResult, not_checked


class Trust:
    """The TLS context of all https checks.

    ``files``: the CA file to believe instead of the machine's, and a client certificate to show.
    """

    def __init__(self, files: TlsFiles | None = None) -> None:
        self._files = files or TlsFiles()
        self._context: ssl.SSLContext | CheckResult | None = None

    async def prepare(self) -> None:
        """Reads the certificates, again if they were read before: some 20 ms, in a thread."""
        self._context = await trio.to_thread.run_sync(self._build)

    def context(self) -> ssl.SSLContext:
        """What was read last. Raises `CheckFailed` when that was of no use."""
        if self._context is None:
            self._context = self._build()
        if isinstance(self._context, CheckResult):
            raise CheckFailed(self._context)
        return self._context

    def _build(self) -> ssl.SSLContext | CheckResult:
        try:
            context = client_context(self._files)
        except ConfigError as error:
            return not_checked(str(error))
        if self._files.ca is None and not _knows_anybody(context):
            return not_checked("this machine has no CA certificates")
        return context


def _knows_anybody(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509_ca"]:
        return True
    # Certificates of a directory are loaded one by one, when they are needed.
    directory: str | None = ssl.get_default_verify_paths().capath
    try:
        return bool(directory and any(Path(directory).iterdir()))
    except OSError:
        return False
