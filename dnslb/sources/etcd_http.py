"""HTTP to the endpoints of one etcd: whole answers, long answers, and which endpoint is next.

Not what is said (`etcd_codec`, `etcd_v2`, `etcd_v3`), and not when to try again (`etcd`).

Law: credentials go to the configured endpoints alone, follow no redirection, pass no proxy and
appear in no error or log. Every answer is bounded, and so is the wait for its beginning.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import httpx
import trio

from dnslb import __version__
from dnslb.errors import SourceError
from dnslb.model.report import bounded_message
from dnslb.net.http_failure import transport_sentence
from dnslb.net.tls import ReloadingContext, TlsError, TlsFiles, client_context
from dnslb.sources.etcd_codec import ANSWER_BYTES_MAX, Answer

log = logging.getLogger(__name__)

CONNECT_S_MAX = 3.0
HEAD_S_MAX = 5.0
"""From the request to the head of its answer; etcd sends that at once, long polling included."""
CALL_S_MAX = 10.0
CONNECTIONS_MAX = 256
"""More than one for each agent that there can be, and some to read and write beside."""
USER_AGENT = f"dnslb/{__version__}"
# A long poll is silent for long. The kernel finds out within half a minute that nobody is there.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 4), 10),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 5), 5),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 6), 4),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]


class AnswerTooLarge(SourceError):
    """More than anything that may stand in etcd can make of an answer; ``headers``: its own."""

    def __init__(self, sentence: str, headers: Mapping[str, str]) -> None:
        super().__init__(sentence)
        self.headers = headers


class EtcdHttp:
    """``urls``: without a slash at the end."""

    def __init__(self, urls: Sequence[str], files: TlsFiles) -> None:
        self.urls = tuple(urls)
        self._files = files
        self._tls: ReloadingContext | None = None
        self._at = 0
        self._client: httpx.AsyncClient | None = None
        self._client_context: ssl.SSLContext | None = None

    def open_files(self) -> None:
        """Reads the certificates, where any are needed. Raises `TlsError`."""
        if self._tls is None and any(url.startswith("https:") for url in self.urls):
            self._tls = ReloadingContext(self._files, client_context, on_problem=_on_tls_problem)

    @property
    def url(self) -> str:
        """The endpoint in use."""
        return self.urls[self._at]

    @property
    def others(self) -> tuple[str, ...]:
        """The other endpoints, in the order in which they would be turned to."""
        return self.urls[self._at + 1 :] + self.urls[: self._at]

    def turn_to(self, url: str) -> None:
        self._at = self.urls.index(url)

    def turn_away(self, url: str) -> None:
        """To the next endpoint, unless somebody has turned away from ``url`` already."""
        if self.url == url:
            self._at = (self._at + 1) % len(self.urls)

    async def refresh(self) -> None:
        """Before a new beginning: certificates that were renewed come into force."""
        self.open_files()
        context = self._tls.context() if self._tls is not None else None
        if self._client is not None and context is not self._client_context:
            await self.aclose()
        if self._client is None:
            self._client_context = context
            transport = httpx.AsyncHTTPTransport(
                verify=context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
                socket_options=_KEEP_ALIVE,
                trust_env=False,
            )
            self._client = httpx.AsyncClient(
                transport=transport,
                timeout=httpx.Timeout(None, connect=CONNECT_S_MAX, pool=CONNECT_S_MAX),
                trust_env=False,
                follow_redirects=False,
            )

    async def aclose(self) -> None:
        """Closes all connections; what is under way fails."""
        client, self._client = self._client, None
        if client is not None:
            with trio.move_on_after(1, shield=True):
                await client.aclose()

    async def call(
        self,
        url: str,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A whole answer, whatever it says. Raises `SourceError` that names the endpoint."""
        with trio.move_on_after(CALL_S_MAX):
            async with self.open(url, method, path, content=content, headers=headers) as response:
                return await response.answer()
        raise SourceError(f"{url}: no whole answer within {CALL_S_MAX:g} s")

    @asynccontextmanager
    async def open(
        self,
        url: str,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[OpenAnswer]:
        """An answer whose head is there and whose body may take its time."""
        client = self._client
        if client is None:
            raise SourceError(f"{url}: not connected")
        # What is unpacked has no bound that could be set here.
        fixed = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        with _translated(url):
            request = client.build_request(
                method, url + path, content=content, headers={**fixed, **(headers or {})}
            )
            response: httpx.Response | None = None
            with trio.move_on_after(HEAD_S_MAX):
                response = await client.send(request, stream=True)
        if response is None:
            raise SourceError(f"{url}: no answer within {HEAD_S_MAX:g} s")
        opened = OpenAnswer(url, response)
        try:
            yield opened
        finally:
            with trio.move_on_after(1, shield=True):
                await opened.aclose()


class OpenAnswer:
    """``headers``: names in lower case."""

    def __init__(self, url: str, response: httpx.Response) -> None:
        self._url = url
        self._response = response
        self._pieces = response.aiter_raw()
        self._rest = bytearray()
        self._looked_at = 0
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def answer(self) -> Answer:
        """The rest of it, and with it the whole."""
        while await self._more():
            pass
        return Answer(self.status, self.headers, bytes(self._rest))

    async def line(self) -> bytes | None:
        """The next line, without its end; None when no whole one will come."""
        while (end := self._rest.find(b"\n", self._looked_at)) < 0:
            self._looked_at = len(self._rest)
            if not await self._more():
                return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        self._looked_at = 0
        return line

    async def aclose(self) -> None:
        """The connection can be used again if the answer was read to its end."""
        # httpx stacks generators and closes only the uppermost. Read on, they all end: with the
        # answer, or by being cancelled as soon as the next byte has to be waited for.
        with trio.CancelScope() as scope, suppress(httpx.HTTPError, httpx.StreamError):
            scope.cancel()
            while await anext(self._pieces, None) is not None:
                pass
        await self._response.aclose()

    async def _more(self) -> bool:
        with _translated(self._url):
            piece = await anext(self._pieces, None)
        if piece is None:
            return False
        self._rest += piece
        if len(self._rest) > ANSWER_BYTES_MAX:
            sentence = f"{self._url}: more than {ANSWER_BYTES_MAX} bytes at once"
            raise AnswerTooLarge(sentence, self.headers)
        return True


def _on_tls_problem(error: TlsError) -> None:
    log.error("%s; the certificate in force stays", error)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """What httpx raises becomes a `SourceError`; the one place that translates."""
    try:
        yield
    except httpx.TransportError as error:
        sentence = transport_sentence(error, tls=url.startswith("https:"))
        raise SourceError(f"{url}: {sentence}") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise SourceError(f"{url}: {bounded_message(str(error))}") from error
