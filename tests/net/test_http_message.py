"""What a request means, and which answers cannot be made."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dnslb.net.http_message import HttpError, Request, Response, reason_phrase, split_target
from dnslb.net.http_routes import Routes


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/v1/why?name=a&b", "/v1/why", "name=a&b"),
        (b"/a%2Fb?c?d", "/a%2Fb", "c?d"),
        (b"//evil/x", "//evil/x", ""),
        (b"*", "*", ""),
        (b"http://host:1/a?b", "/a", "b"),
        (b"HTTPS://host", "/", ""),
    ],
)
def test_targets(target: bytes, path: str, query: str) -> None:
    assert split_target(target) == (path, query)


@pytest.mark.parametrize("target", [b"", b"a", b"host:443", b"/%ff", b"/\xff", b"http://[x/"])
def test_targets_that_are_none(target: bytes) -> None:
    with pytest.raises(ValueError, match=r"path|ASCII|Invalid"):
        split_target(target)


def test_segments_are_decoded_each() -> None:
    assert Request("GET", "/v1/why/a%2Fb/%C3%A4").segments == ("v1", "why", "a/b", "ä")


def test_parameters_are_few_and_readable() -> None:
    assert Request("GET", "/", "a=1&a=2&b").parameters == {"a": "2", "b": ""}
    for query in ("a=%ff", "&".join("a=1" for _ in range(65))):
        with pytest.raises(HttpError) as caught:
            _ = Request("GET", "/", query).parameters
        assert caught.value.status == 400


def test_a_request_shows_no_secrets() -> None:
    request = Request("POST", "/", headers={"authorization": "secret"}, body=b"secret")
    assert "secret" not in repr(request)


@pytest.mark.parametrize(
    "headers",
    [
        (("x", "a\r\nset-cookie: b"),),
        (("x", "a\nb"),),
        (("x", " a"),),
        (("x", "\u20ac"),),
        (("x y", "a"),),
        (("", "a"),),
        (("Content-Length", "5"),),
        (("transfer-encoding", "chunked"),),
        (("connection", "close"),),
    ],
)
def test_headers_that_cannot_be_sent(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ValueError, match=r"header|server's to set"):
        Response(headers=headers)


@pytest.mark.parametrize(
    "wrong",
    [{"status": 100}, {"status": 600}, {"status": 204, "body": b"x"}, {"heartbeat": b":"}],
)
def test_answers_that_cannot_be_sent(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"status|heartbeat"):
        Response(**wrong)  # type: ignore[arg-type]


def test_a_content_type_cannot_carry_a_header() -> None:
    with pytest.raises(ValueError, match="content-type"):
        Response(content_type="a\r\nb: c")


def test_an_empty_header_is_fine() -> None:
    assert Response(headers=(("x", ""), ("y", "a b"))).status == 200


def test_unregistered_statuses_have_no_words() -> None:
    assert (reason_phrase(404), reason_phrase(599)) == ("Not Found", "")


def test_an_error_without_a_sentence_says_the_status_in_words() -> None:
    assert str(HttpError(404)) == "Not Found"


async def test_events_have_heartbeats() -> None:
    async def ticks() -> AsyncIterator[bytes]:
        yield b"data: tick\n\n"

    response = Response.events(ticks(), heartbeat_s=2)
    assert (response.heartbeat, response.heartbeat_s) == (b":\n\n", 2)
    assert response.content_type == "text/event-stream"


# --------------------------------------------------------------------------------------- routes


async def _named(name: str, request: Request) -> Response:
    return Response.text(200, name)


@pytest.fixture
def routes() -> Routes:
    async def root(request: Request) -> Response:
        return await _named("root", request)

    async def post(request: Request) -> Response:
        return await _named("post", request)

    async def below(request: Request) -> Response:
        return await _named("below", request)

    async def deeper(request: Request) -> Response:
        return await _named("deeper", request)

    return Routes(
        {
            ("GET", "/"): root,
            ("GET", "/a"): root,
            ("POST", "/a"): post,
            ("GET", "/why/*"): below,
            ("GET", "/why/not/*"): deeper,
        }
    )


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/", "root"),
        ("HEAD", "/", "root"),
        ("GET", "/a", "root"),
        ("POST", "/a", "post"),
        ("GET", "/why/x", "below"),
        ("GET", "/why/x/y", "below"),
        ("GET", "/why/not", "below"),
        ("GET", "/why/not/x", "deeper"),
    ],
)
async def test_finds_the_handler(routes: Routes, method: str, path: str, name: str) -> None:
    assert (await routes(Request(method, path))).body == f"{name}\n".encode()


@pytest.mark.parametrize("path", ["/b", "/why", "/a/", "*", "//"])
async def test_what_is_not_there(routes: Routes, path: str) -> None:
    with pytest.raises(HttpError) as caught:
        await routes(Request("GET", path))
    assert caught.value.status == 404


async def test_what_cannot_be_done(routes: Routes) -> None:
    with pytest.raises(HttpError) as caught:
        await routes(Request("DELETE", "/a"))
    assert caught.value.status == 405
    assert caught.value.headers == (("allow", "GET, HEAD, POST"),)


def test_a_route_begins_with_a_slash() -> None:
    with pytest.raises(ValueError, match="slash"):
        Routes({("GET", "a"): lambda request: _named("a", request)})
