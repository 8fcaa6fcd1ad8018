"""An upstream client with certificates of every kind, and TLS servers that say what a test says."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from dnslb.agent.upstream import Upstream, UpstreamError
from dnslb.net.listen import bound_port, open_tcp
from dnslb.net.tls import (
    TlsFiles,
    TlsListener,
    client_context,
    server_context,
)
from tests.doubles.pki import Authority

HUNG_UP = "the server hung up before answering: it may have refused our certificate"


class Stage:
    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "ca")
        self.stranger = Authority(directory / "stranger")
        self.server_files = self.authority.issue("127.0.0.1", name="server")
        self.agent_files = self.authority.issue(common_name="fra-1")
        self.upstreams: list[Upstream] = []

    def upstream(
        self, url: str, files: TlsFiles | None = None, *, timeout_s: float = 3.0
    ) -> Upstream:
        context = client_context(files or self.agent_files)
        one = Upstream(url, "fra-1", lambda: context, timeout_s=timeout_s)
        self.upstreams.append(one)
        return one

    async def aclose(self) -> None:
        for one in self.upstreams:
            await one.aclose()


async def serve(
    nursery: trio.Nursery,
    files: TlsFiles,
    speak: Callable[[trio.SSLStream[trio.SocketStream], int], Awaitable[None]],
    tls: ssl.TLSVersion | None = None,
) -> str:
    """A TLS server that asks for a certificate and leaves the rest to ``speak``."""
    context = server_context(files)
    if tls is not None:
        context.maximum_version = tls
    (listener,) = await open_tcp(0)
    numbers = iter(range(1000))

    async def one(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async with stream:
            try:
                await stream.do_handshake()
                await speak(stream, next(numbers))
            except trio.BrokenResourceError:
                pass

    nursery.start_soon(trio.serve_listeners, one, [TlsListener(listener, lambda: context)])
    return f"https://127.0.0.1:{bound_port(listener)}/"


async def fails(upstream: Upstream) -> tuple[str, bool]:
    """The sentence without the URL, and whether the upstream was reached."""
    with pytest.raises(UpstreamError) as failed:
        await upstream.fetch()
    sentence = str(failed.value)
    assert sentence.isprintable()
    assert sentence.startswith(f"{upstream.url}: ")
    return sentence.removeprefix(f"{upstream.url}: "), failed.value.reached
