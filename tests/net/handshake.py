"""A TLS handshake over memory streams, and what each side says of it."""

from __future__ import annotations

import ssl

import trio
import trio.testing

from dnslb.net.peer import Peer, read_peer
from dnslb.net.tls import handshake_sentence, hung_up_sentence

HOST = "dns-a.example.org"


async def meet(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = HOST
) -> tuple[Peer, str, str]:
    """Who the server saw, and what each side says went wrong ('' for nothing)."""
    ours, theirs = trio.testing.memory_stream_pair()
    client_stream = trio.SSLStream(ours, client, server_hostname=host)
    server_stream = trio.SSLStream(theirs, server, server_side=True)
    peer, sentences = Peer(), {"server": "", "client": ""}

    async def serve() -> None:
        nonlocal peer
        try:
            await server_stream.do_handshake()
            peer = read_peer(server_stream)
            await server_stream.send_all(b"answer")
        except trio.BrokenResourceError as error:
            sentences["server"] = handshake_sentence(error)
        await trio.aclose_forcefully(server_stream)

    async def ask() -> None:
        try:
            await client_stream.do_handshake()
            answer = await client_stream.receive_some()
            if answer != b"answer":
                sentences["client"] = hung_up_sentence()
        except trio.BrokenResourceError as error:
            sentences["client"] = handshake_sentence(error)
        await trio.aclose_forcefully(client_stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        nursery.start_soon(ask)
    return peer, sentences["server"], sentences["client"]
