"""One healthd, as its client sees it: fetch the list, post the statuses, say what went wrong.

Not a policy: which upstream, how often and what next is decided in `dnslb.agent.link` and above.

Law: a request ends within its time-out. A connection that the server closed while it was idle
is no failure: the request is sent once more, on a fresh one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import trio

from dnslb.errors import SourceError
from dnslb.model.report import bounded_message
from dnslb.net.http_failure import transport_sentence
from dnslb.net.tls import hung_up_sentence
from dnslb.sources.healthd_codec import MONITORS_TYPE

TIMEOUT_S = 3.0
ANSWER_BYTES_MAX = 8 * 1024 * 1024
# Longer than the usual silence between two requests, shorter than what drops idle connections.
KEPT_OPEN_S = 60.0


class UpstreamError(SourceError):
    """An upstream did not do what was asked; one sentence that names it.

    ``reached``: it answered, so another request may well succeed.
    """

    def __init__(self, message: str, *, reached: bool = False) -> None:
        super().__init__(message)
        self.reached = reached


@dataclass(frozen=True, slots=True)
class Answer:
    """A fetched list as it came."""

    body: bytes
    rich: bool


class Upstream:
    """A client with one connection; ``context`` gives the TLS context of the moment.

    ``address``: where to connect, of the addresses of the URL's host; None leaves that to each
    connection. Certificate and Host header are the URL's host either way.
    """

    def __init__(
        self,
        url: str,
        agent: str,
        context: Callable[[], ssl.SSLContext],
        *,
        address: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.url = url
        place = httpx.URL(url)
        self.name = url if address in (None, place.host) else f"{url} at {address}"
        """How it is called in sentences."""
        self._place = place if address is None else place.copy_with(host=address)
        self._host = {"Host": place.netloc.decode("ascii")}
        self._server_name = place.raw_host.decode("ascii")
        self._agent = agent
        self._context = context
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None
        self._client_context: ssl.SSLContext | None = None

    async def fetch(self) -> Answer:
        """The monitor list, in the rich form where the upstream knows it.

        Raises `UpstreamError`.
        """
        accept = f"{MONITORS_TYPE}, application/json;q=0.5"
        response, body = await self._ask("GET", {"Accept": accept})
        content_type = response.headers.get("content-type", "")
        return Answer(body, content_type.partition(";")[0].strip().lower() == MONITORS_TYPE)

    async def post(self, body: bytes, *, rich: bool) -> None:
        """Hands the statuses over; returns when they were taken. Raises `UpstreamError`."""
        content_type = MONITORS_TYPE if rich else "application/json"
        await self._ask("POST", {"Content-Type": content_type}, body)

    async def aclose(self) -> None:
        """Closes the connection."""
        client, self._client = self._client, None
        if client is not None:
            with trio.move_on_after(1, shield=True):
                await client.aclose()

    async def _ask(
        self, method: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[httpx.Response, bytes]:
        ours = {"X-Agent-Name": self._agent, "Accept-Encoding": "identity"}
        headers = {**self._host, **ours, **headers}
        with trio.move_on_after(self._timeout_s):
            client = await self._connected_client()
            for _attempt in range(2):
                opened = _Opened()
                request = client.build_request(
                    method,
                    self._place,
                    headers=headers,
                    content=body,
                    extensions={"trace": opened.trace, "sni_hostname": self._server_name},
                )
                try:
                    response, content = await _send(client, request)
                except httpx.TransportError as error:
                    if not opened.connection and _may_be_stale(error):
                        continue
                    raise UpstreamError(f"{self.name}: {transport_sentence(error)}") from error
                except httpx.HTTPError as error:
                    raise UpstreamError(f"{self.name}: {_one_line(str(error))}") from error
                self._check(response, content)
                return response, content
            raise UpstreamError(f"{self.name}: {hung_up_sentence()}")
        raise UpstreamError(f"{self.name}: no answer within {self._timeout_s:g} s")

    async def _connected_client(self) -> httpx.AsyncClient:
        """The client of the newest certificate files."""
        context = self._context()
        if self._client is None or self._client_context is not context:
            await self.aclose()
            self._client_context = context
            self._client = httpx.AsyncClient(
                verify=context,
                trust_env=False,
                timeout=None,  # the request as a whole has one
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_OPEN_S
                ),
            )
        return self._client

    def _check(self, response: httpx.Response, content: bytes) -> None:
        status = response.status_code
        if 200 <= status <= 299:
            if len(content) > ANSWER_BYTES_MAX:
                sentence = f"{self.name}: the answer is larger than {ANSWER_BYTES_MAX} bytes"
                raise UpstreamError(sentence, reached=True)
            return
        said = _one_line(content[:1000].decode("utf-8", "replace"))
        what = {
            403: f"refuses agent {self._agent!r} (403)",
            429: "is asked too often (429)",
        }.get(status, f"answers {status}")
        sentence = f"{self.name}: {what}" + (f": {said}" if said else "")
        raise UpstreamError(sentence, reached=True)


class _Opened:
    """Whether a request needed a new connection, as told by httpcore's trace extension."""

    def __init__(self) -> None:
        self.connection = False

    async def trace(self, event: str, _info: object) -> None:
        if event.startswith("connection.connect"):
            self.connection = True


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    """The answer and its body, of which no more is kept than is needed to see that it is too
    large; raw, so that nothing can unfold."""
    response = await client.send(request, stream=True)
    try:
        content = bytearray()
        async for part in response.aiter_raw():
            if len(content) <= ANSWER_BYTES_MAX:
                content += part
        return response, bytes(content)
    finally:
        await response.aclose()


def _may_be_stale(error: httpx.TransportError) -> bool:
    """Whether this is how a connection looks that was closed while it was idle."""
    return isinstance(error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)


def _one_line(text: str) -> str:
    return bounded_message(text).rstrip(".")
