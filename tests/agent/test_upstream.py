"""The client against real TLS servers on loopback: what it sends, and what it says went wrong."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import trio

from dnslb.agent.upstream import ANSWER_BYTES_MAX, Answer, Upstream, UpstreamError
from dnslb.net.http_message import Request, Response
from dnslb.net.http_server import HttpServer
from dnslb.net.listen import bound_port, open_tcp
from dnslb.net.tls import (
    ReloadingContext,
    TlsListener,
    client_context,
    server_context,
)
from dnslb.sources.healthd_codec import MONITORS_TYPE
from tests.agent.loopback import HUNG_UP, Stage, fails, serve
from tests.doubles.healthd import GoHealthd


@pytest.fixture
def authorities(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
async def healthd(authorities: Stage, nursery: trio.Nursery) -> GoHealthd:
    one = GoHealthd(authorities.server_files, ["tcp://10.0.0.1:80"])
    await nursery.start(one.serve)
    return one


# ---------------------------------------------------------------------------------- what goes well


async def test_list_and_post_with_a_go_healthd(authorities: Stage, healthd: GoHealthd) -> None:
    upstream = authorities.upstream(healthd.url)
    assert await upstream.fetch() == Answer(b'["tcp://10.0.0.1:80"]', rich=False)
    body = b'[{"IP":"10.0.0.1","Port":80,"Healthy":true,"Message":"success","DidChange":false}]'
    await upstream.post(body, rich=False)
    assert healthd.stored == {"fra-1": [json.loads(body)]}
    assert healthd.refused == []
    await authorities.aclose()


async def test_requests_say_who_asks_and_in_which_form(
    authorities: Stage, nursery: trio.Nursery
) -> None:
    requests: list[Request] = []

    async def handle(request: Request) -> Response:
        requests.append(request)
        return Response(body=b"[]", content_type=f"{MONITORS_TYPE}; charset=utf-8")

    errors: list[Exception] = []
    server = HttpServer(handle, on_error=errors.append)
    context = server_context(authorities.server_files)
    (listener,) = await open_tcp(0)
    nursery.start_soon(server.serve, [TlsListener(listener, lambda: context)])
    upstream = authorities.upstream(f"https://127.0.0.1:{bound_port(listener)}/a/b")
    assert await upstream.fetch() == Answer(b"[]", rich=True)
    await upstream.post(b"[]", rich=True)
    await upstream.post(b"[]", rich=False)
    assert [request.headers["x-agent-name"] for request in requests] == ["fra-1"] * 3
    assert [request.path for request in requests] == ["/a/b"] * 3
    assert requests[0].headers["accept"].startswith(MONITORS_TYPE)
    assert requests[0].headers["accept-encoding"] == "identity"
    types = [request.headers["content-type"] for request in requests[1:]]
    assert types == [MONITORS_TYPE, "application/json"]
    assert server.stats.accepted == 1
    assert errors == []
    await authorities.aclose()


async def test_an_address_is_where_it_connects_and_nothing_else(
    authorities: Stage, nursery: trio.Nursery
) -> None:
    """Server name, certificate and Host header are the URL's host; the address is in no request."""
    hosts: list[str] = []
    names: list[str | None] = []

    async def handle(request: Request) -> Response:
        hosts.append(request.headers["host"])
        return Response(body=b"[]")

    server = HttpServer(handle, on_error=lambda error: None)
    context = server_context(authorities.authority.issue("lb.example.org", name="service"))
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    (listener,) = await open_tcp(0, "127.0.0.2")
    nursery.start_soon(server.serve, [TlsListener(listener, lambda: context)])
    port = bound_port(listener)
    ours = client_context(authorities.agent_files)

    def upstream(url: str) -> Upstream:
        return Upstream(url, "fra-1", lambda: ours, address="127.0.0.2")

    one = upstream(f"https://lb.example.org:{port}/")
    await one.fetch()
    assert (hosts, names) == ([f"lb.example.org:{port}"], ["lb.example.org"])
    assert one.name == f"https://lb.example.org:{port}/ at 127.0.0.2"
    other = upstream(f"https://other.example.org:{port}/")
    with pytest.raises(UpstreamError) as failed:
        await other.fetch()
    refused = "the peer's certificate is refused: it is for another host name"
    assert str(failed.value) == f"{other.name}: {refused}"
    await one.aclose()
    await other.aclose()


async def test_a_proxy_in_the_environment_is_not_used(
    authorities: Stage, healthd: GoHealthd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    await authorities.upstream(healthd.url).fetch()
    await authorities.aclose()


async def test_a_renewed_certificate_is_shown_from_then_on(
    authorities: Stage, nursery: trio.Nursery
) -> None:
    serials: list[object] = []

    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        certificate = stream.getpeercert()
        assert isinstance(certificate, dict)
        serials.append(certificate["serialNumber"])
        while await stream.receive_some(10_000):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    url = await serve(nursery, authorities.server_files, speak)
    reloading = ReloadingContext(
        authorities.agent_files, client_context, on_problem=lambda error: None
    )
    upstream = Upstream(url, "fra-1", reloading.context)
    await upstream.fetch()
    await upstream.fetch()
    authorities.authority.issue(common_name="fra-1")
    await upstream.fetch()
    assert len(serials) == len(set(serials)) == 2
    await upstream.aclose()


# --------------------------------------------------------------------- connections that were idle


async def test_a_connection_closed_while_idle_is_no_failure(
    authorities: Stage, nursery: trio.Nursery
) -> None:
    """The server gives up the connection at the very moment at which it is used again."""

    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await stream.receive_some(10_000)
        await trio.aclose_forcefully(stream)

    url = await serve(nursery, authorities.server_files, speak)
    upstream = authorities.upstream(url)
    for _ in range(5):
        assert (await upstream.fetch()).body == b"[]"
    await authorities.aclose()


async def test_a_fresh_connection_that_is_closed_is_a_failure(
    authorities: Stage, nursery: trio.Nursery
) -> None:
    accepted: list[int] = []

    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        accepted.append(number)
        await stream.receive_some(10_000)
        await trio.aclose_forcefully(stream)

    upstream = authorities.upstream(await serve(nursery, authorities.server_files, speak))
    assert await fails(upstream) == (HUNG_UP, False)
    assert accepted == [0]
    await authorities.aclose()


# ---------------------------------------------------------------------------- what the answer says


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            b"HTTP/1.1 500 Oops\r\nContent-Length: 14\r\n\r\nstore trouble\n",
            "answers 500: store trouble",
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "answers 302"),
        (
            b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nno\x1b[1m",
            "refuses agent 'fra-1' (403): no [1m",
        ),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "is asked too often (429)"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (ANSWER_BYTES_MAX + 1),
            f"the answer is larger than {ANSWER_BYTES_MAX} bytes",
        ),
    ],
)
async def test_answers_that_are_no_list(
    authorities: Stage, nursery: trio.Nursery, answer: bytes, sentence: str
) -> None:
    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(answer)

    upstream = authorities.upstream(await serve(nursery, authorities.server_files, speak))
    assert await fails(upstream) == (sentence, True)
    await authorities.aclose()


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]
)
async def test_what_is_no_http_is_not_reached(
    authorities: Stage, nursery: trio.Nursery, answer: bytes
) -> None:
    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(answer)

    upstream = authorities.upstream(await serve(nursery, authorities.server_files, speak))
    assert (await fails(upstream))[1] is False
    await authorities.aclose()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["])
async def test_who_answers_too_slowly_is_given_up(
    authorities: Stage, nursery: trio.Nursery, answer: bytes
) -> None:
    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        await stream.send_all(answer)
        await trio.sleep_forever()

    url = await serve(nursery, authorities.server_files, speak)
    upstream = authorities.upstream(url, timeout_s=0.3)
    assert await fails(upstream) == ("no answer within 0.3 s", False)
    await authorities.aclose()


# ------------------------------------------------------------------------------- who is not there


async def test_nobody_listens(authorities: Stage) -> None:
    (listener,) = await open_tcp(0)
    url = f"https://127.0.0.1:{bound_port(listener)}/"
    await listener.aclose()
    assert await fails(authorities.upstream(url)) == ("connection refused", False)


async def test_the_name_is_unknown(authorities: Stage) -> None:
    class NoNames(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_arguments: object) -> list[object]:  # type: ignore[override]
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def getnameinfo(self, *_arguments: object) -> tuple[str, str]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    trio.socket.set_custom_hostname_resolver(NoNames())
    upstream = authorities.upstream("https://healthd.example.org/")
    assert await fails(upstream) == ("the host name cannot be resolved", False)


async def test_a_plain_http_server(authorities: Stage, nursery: trio.Nursery) -> None:
    async def speak(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    (listener,) = await open_tcp(0)
    nursery.start_soon(trio.serve_listeners, speak, [listener])
    upstream = authorities.upstream(f"https://127.0.0.1:{bound_port(listener)}/")
    assert await fails(upstream) == ("the peer does not speak TLS", False)
