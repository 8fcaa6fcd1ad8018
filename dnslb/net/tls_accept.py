"""The server's half of a TLS handshake, which tells a client that fails why it does.

Not who may come: the context says that. trio drops the alert of a failed handshake, and then a
client whose certificate has expired is hung up on without a word (RFC 8446 6.2 wants the alert).
"""

from __future__ import annotations

import ssl
from typing import Any, TypeVar, cast

import trio

T = TypeVar("T", bound=trio.abc.Stream)
FAREWELL_S = 1.0
FAREWELL_BYTES_MAX = 64 * 1024
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class _Witness:
    """Stands in for a context, and remembers where OpenSSL leaves what it wants to be sent."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.outgoing = ssl.MemoryBIO()

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **given: Any
    ) -> ssl.SSLObject:
        self.outgoing = outgoing
        return self._context.wrap_bio(incoming, outgoing, **given)


async def accept_tls(transport: T, context: ssl.SSLContext) -> trio.SSLStream[T]:
    """A stream whose handshake is done.

    Raises trio.BrokenResourceError, for `dnslb.net.tls.handshake_sentence`, after the client was
    told; ``transport`` is the caller's to close.
    """
    witness = _Witness(context)
    stream = trio.SSLStream(transport, cast(ssl.SSLContext, witness), server_side=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        await _say(transport, witness.outgoing.read())
        raise
    return stream


async def _say(transport: trio.abc.Stream, alert: bytes) -> None:
    """Sends ``alert`` and lets it arrive: closing with unread bytes would reset the connection."""
    with trio.move_on_after(FAREWELL_S):
        try:
            await transport.send_all(alert)
            if isinstance(transport, trio.abc.HalfCloseableStream):
                await transport.send_eof()
            left = FAREWELL_BYTES_MAX
            while left > 0 and (data := await transport.receive_some(left)):
                left -= len(data)
        except _GONE:
            pass  # gone already, or it reset what it did not want to hear
