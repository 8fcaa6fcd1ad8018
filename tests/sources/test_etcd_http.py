"""HTTP to etcd by real sockets: bounds, and that credentials go where they are meant to go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from dnslb.errors import SourceError
from dnslb.net.tls import TlsFiles
from dnslb.sources import etcd_http
from dnslb.sources.etcd_http import AnswerTooLarge, EtcdHttp

SECRET = {"Authorization": "Basic c2VjcmV0"}
Serve = Callable[[bytes], Awaitable["Told"]]


class Told:
    """A server that says the same to everybody, and remembers what it was told."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[bytes] = []


@pytest.fixture
def serve(nursery: trio.Nursery) -> Serve:
    async def start(answer: bytes) -> Told:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        told = Told(listener.socket.getsockname()[1])

        async def one(stream: trio.SocketStream) -> None:
            async with stream:
                told.requests.append(await stream.receive_some(65536))
                try:
                    await stream.send_all(answer)
                    await trio.sleep_forever()
                except trio.BrokenResourceError:
                    return

        nursery.start_soon(trio.serve_listeners, one, [listener])
        return told

    return start


@pytest.fixture
async def http() -> AsyncIterator[EtcdHttp]:
    made = EtcdHttp(("http://127.0.0.1:1",), TlsFiles())
    await made.refresh()
    yield made
    await made.aclose()


async def test_credentials_follow_no_redirection(http: EtcdHttp, serve: Serve) -> None:
    elsewhere = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
    first = await serve(moved.encode())
    answer = await http.call(first.url, "GET", "/v2/keys/ams", headers=SECRET)
    assert answer.status == 302
    assert b"Basic c2VjcmV0" in first.requests[0]
    assert elsewhere.requests == []


async def test_no_proxy_of_the_environment_gets_them(
    http: EtcdHttp, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    direct = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    await http.aclose()
    await http.refresh()
    await http.call(direct.url, "GET", "/v2/keys/ams", headers=SECRET)
    assert len(direct.requests) == 1
    assert proxy.requests == []


async def test_an_answer_without_end_is_cut_off(
    http: EtcdHttp, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_http, "ANSWER_BYTES_MAX", 100_000)
    endless = await serve(b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 9\r\n\r\n" + b" " * 1_000_000)
    with pytest.raises(AnswerTooLarge, match="more than 100000 bytes at once") as caught:
        await http.call(endless.url, "GET", "/v2/keys/ams")
    assert caught.value.headers["x-etcd-index"] == "9"
    async with http.open(endless.url, "POST", "/v3/watch", content=b"{}") as watch:
        with pytest.raises(AnswerTooLarge):
            await watch.line()


async def test_lines_come_one_by_one_and_half_a_line_is_none(http: EtcdHttp, serve: Serve) -> None:
    server = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none\n\ntwo\n")
    async with http.open(server.url, "POST", "/v3/watch", content=b"{}") as watch:
        assert [await watch.line() for _ in range(3)] == [b"one", b"", b"two"]
        assert await watch.line() is None
    server = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\none\nhal")
    async with http.open(server.url, "POST", "/v3/watch", content=b"{}") as watch:
        assert [await watch.line() for _ in range(2)] == [b"one", None]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "no answer within 5 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "no whole answer within 10 s"),
    ],
)
async def test_whoever_says_nothing_is_waited_for_not_forever(
    http: EtcdHttp, serve: Serve, answer: bytes, told: str, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.2  # sockets take their time
    silent = await serve(answer)
    with pytest.raises(SourceError, match=told) as caught:
        await http.call(silent.url, "GET", "/v2/keys/ams", headers=SECRET)
    assert trio.current_time() < 11
    assert silent.url in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
