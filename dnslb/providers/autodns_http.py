"""Calls to AutoDNS: one connection for each piece of work, each call with a permit.

Not what is said (`autodns_codec`) and not what an answer means (`autodns_answer`). A connection
serves one reading, one change set or one search, and is closed with it: so nothing idle is left
behind, and a write finds the connection that its own reading opened.

Law: credentials go to the configured address alone, over TLS or loopback, follow no redirection
and appear in no error, log or dump. After they were rejected no call is made. Whether the first
byte of a write may have left is known, and said: `ProviderTemporary` or `OutcomeUnknown`.
"""

from __future__ import annotations

import random
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import httpx
import msgspec
import trio

from dnslb import __version__
from dnslb.errors import ConfigError, OutcomeUnknown, ProviderTemporary
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.net.tls import TlsFiles, client_context
from dnslb.net.watchable import Watchable
from dnslb.providers.autodns_answer import (
    Answer,
    CredentialsRejected,
    RateLimited,
    read_error,
    to_answer,
    write_error,
)
from dnslb.providers.autodns_budget import CallBudget, Permit, Urgency
from dnslb.providers.autodns_dump import Dump, Redactor

CONNECT_S_MAX = 5.0
READ_S_MAX = 20.0
WRITE_S_MAX = 10.0
"""From the first byte of a write to its answer; then nobody waits for it any more."""
BODY_BYTES_MAX = 16 * 1024 * 1024
USER_AGENT = f"dnslb/{__version__}"
CONTEXT_HEADER, CTID_HEADER = "X-Domainrobot-Context", "X-Domainrobot-Ctid"
SESSION_HEADER = "X-Domainrobot-SessionId"
_ENOUGH = Backoff(first_s=2.0, max_s=60.0, jitter=0.5)


class _WouldConnect(Exception):
    """The connection is gone, and a new one would have to be made between gate and sending."""


@dataclass(frozen=True, slots=True)
class Call:
    """``path``: below the configured address. ``what``: for sentences. ``aside``: credentials are
    what it is about, so its bodies appear in no dump, and being rejected stops no other call.
    ``headers`` stand in for the credentials, where given."""

    method: str
    path: str
    what: str
    body: object = None
    ctid: str = ""
    aside: bool = False
    headers: Mapping[str, str] | None = None

    @property
    def writes(self) -> bool:
        return self.method == "PATCH"


class AutoDnsHttp:
    """``password`` is asked anew for each connection. Raises `ConfigError` for a URL that would
    carry credentials in the open."""

    def __init__(
        self,
        url: str,
        username: str,
        password: Callable[[], str],
        context: int,
        *,
        budget: CallBudget,
        dump: Dump | None = None,
        tls: TlsFiles | None = None,
        clock: Clock | None = None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.url = _checked_url(url)
        self.username = username
        self.password = password
        self.context = context
        self.budget = budget
        self.dump = dump
        self._tls = tls or TlsFiles()
        self._ssl: ssl.SSLContext | None = None
        self._clock = clock or Clock()
        self._luck = luck
        self._limited = 0
        self.clock_skew_s: float | None = None
        self.rejected: Watchable[CredentialsRejected | None] = Watchable(None)
        self.reloads: Watchable[None] = Watchable(None)

    def line(self, ctid: str = "") -> Line:
        """A connection to be; use it as an async context manager, or close it."""
        return Line(self, ctid)

    def check_accepted(self) -> None:
        """Raises `CredentialsRejected` while a person has to act."""
        if self.rejected.value is not None:
            raise CredentialsRejected(str(self.rejected.value))

    def reload(self, password: Callable[[], str] | None) -> None:
        """Somebody changed the password, or says that the credentials are right."""
        self.password = password or self.password
        self.rejected.set(None)
        self.reloads.set(None)

    def judge(self, answer: Answer, call: Call) -> None:
        """What all calls learn from one answer. Raises what it means, unless it is a success."""
        if (sent_wall := _date(answer.headers.get("date", ""))) is not None:
            self.clock_skew_s = sent_wall - self._clock.now().wall
        error = (write_error if call.writes else read_error)(answer, call.what)
        if not isinstance(error, RateLimited):
            self._limited = 0
        else:
            self._limited += 1
            wait_s = _ENOUGH.delay_s(self._limited, self._luck())
            error.retry_after_s = max(wait_s, error.retry_after_s or 0.0)
            self.budget.hold(error.retry_after_s)
        if isinstance(error, CredentialsRejected) and not call.aside:
            self.rejected.set(error)
        if error is not None:
            raise error

    async def tls_context(self) -> ssl.SSLContext:
        """Read once: it takes some 20 ms, in a thread. Over plain loopback nobody is trusted."""
        if self._ssl is None and self.url.startswith("http:"):
            self._ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        elif self._ssl is None:
            self._ssl = await trio.to_thread.run_sync(client_context, self._tls)
        return self._ssl

    def secrets(self, call: Call) -> list[str]:
        """What must not be seen of a call."""
        basic = self.credentials()["Authorization"].removeprefix("Basic ")
        return [self.password(), basic, (call.headers or {}).get(SESSION_HEADER, "")]

    def credentials(self) -> dict[str, str]:
        pair = f"{self.username}:{self.password()}".encode()
        return {
            "Authorization": f"Basic {b64encode(pair).decode('ascii')}",
            CONTEXT_HEADER: str(self.context),
        }


class Line:
    """One connection and its calls, one after the other."""

    def __init__(self, http: AutoDnsHttp, ctid: str) -> None:
        self._http = http
        self._ctid = ctid
        self._client: httpx.AsyncClient | None = None
        self._lasting = False

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closing again changes nothing."""
        client, self._client = self._client, None
        if client is not None:
            with trio.move_on_after(CONNECT_S_MAX, shield=True):
                await client.aclose()

    async def ask(self, call: Call, urgency: Urgency) -> Answer:
        """Waits for a permit, then calls. Returns a success, raises anything else."""
        self._http.check_accepted()
        await self._open()
        with await self._http.budget.take(urgency) as permit:
            return await self.send(call, permit, may_connect=True)

    async def send(self, call: Call, permit: Permit, *, may_connect: bool = False) -> Answer:
        """Calls at once. Unless ``may_connect``, on the open connection or not at all: but where
        the server keeps none open, a new one cannot be avoided."""
        http = self._http
        http.check_accepted()
        if self._client is None or not permit.use():
            raise ProviderTemporary(f"Nothing was sent for {call.what}: its turn had passed.")
        request = self._request(self._client, call)
        redactor = Redactor(http.secrets(call), private=call.aside)
        if http.dump is not None:
            http.dump(
                redactor.request(call.method, str(request.url), request.headers, request.content)
            )
        answer, body = await self._exchange(request, call, may_connect or not self._lasting)
        if http.dump is not None:
            http.dump(redactor.response(answer.status, answer.headers, body))
        self._lasting = answer.lasting
        answer = replace(answer, text=redactor.clean(answer.text))
        http.judge(answer, call)
        return answer

    async def _open(self) -> None:
        if self._client is None:
            context = await self._http.tls_context()
            self._client = httpx.AsyncClient(
                verify=context,
                timeout=httpx.Timeout(READ_S_MAX, connect=CONNECT_S_MAX),
                # One connection, for as long as the work lasts: the server alone may end it.
                limits=httpx.Limits(max_connections=1, keepalive_expiry=None),
                follow_redirects=False,
                # A proxy must not see the inside of a call.
                trust_env=self._http.url.startswith("https:"),
            )

    def _request(self, client: httpx.AsyncClient, call: Call) -> httpx.Request:
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            # What is unpacked has no limit that could be set here.
            "Accept-Encoding": "identity",
            **(self._http.credentials() if call.headers is None else call.headers),
        }
        if ctid := call.ctid or self._ctid:
            headers[CTID_HEADER] = ctid
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(call.body)
        url = f"{self._http.url}{call.path}"
        return client.build_request(call.method, url, headers=headers, content=content)

    async def _exchange(
        self, request: httpx.Request, call: Call, may_connect: bool
    ) -> tuple[Answer, bytes]:
        """Translates what httpx raises; the one place that does."""
        assert self._client is not None
        begun = False

        async def watch(event: str, info: Mapping[str, object]) -> None:
            nonlocal begun
            if event == "connection.connect_tcp.started" and not may_connect:
                raise _WouldConnect
            begun = begun or event == "http11.send_request_headers.started"

        request.extensions = {**request.extensions, "trace": watch}
        limit_s = WRITE_S_MAX if call.writes else READ_S_MAX
        why: str
        cause: Exception
        try:
            with trio.fail_after(limit_s):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _body(response)
                finally:
                    await response.aclose()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return to_answer(response.status_code, headers, body), body
        except _WouldConnect as error:
            why, cause = "AutoDNS closed the connection before it", error
        except (trio.TooSlowError, httpx.TimeoutException) as error:
            why, cause = f"no answer within {limit_s:g} s", error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why, cause = f"{type(error).__name__}{_shown(error)}", error
        if call.writes and begun:
            raise OutcomeUnknown(
                f"AutoDNS was sent {call.what} and gave no whole answer ({why}), so whether it "
                "was done is not known; the zone is read again."
            ) from cause
        raise ProviderTemporary(
            f"AutoDNS cannot be asked ({call.what}): {why}; look whether this machine reaches "
            "the host of -autodns-url."
        ) from cause


async def _body(response: httpx.Response) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise httpx.ReadError(f"an answer of more than {BODY_BYTES_MAX} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _shown(error: Exception) -> str:
    text = " ".join(str(error).split())[:120].rstrip(".")
    return f": {text}" if text and text.isprintable() else ""


def _checked_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError("autodns-url: expected a URL like https://api.autodns.com/v1") from error
    if url.scheme not in ("https", "http") or not url.host or url.query or url.fragment:
        raise ConfigError("autodns-url: expected a URL like https://api.autodns.com/v1")
    if url.userinfo:
        raise ConfigError("autodns-url: credentials belong to autodns-username and -password")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ConfigError(
            f"autodns-url: https was expected; {url.host} would get the password in the open"
        )
    return str(url).rstrip("/")


def _date(text: str) -> float | None:
    """Of a Date header, in seconds of the wall clock."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
