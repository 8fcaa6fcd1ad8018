"""The client: an answer is whole or an error, whatever is at the other end of the socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnslbctl.__main__ import main
from dnslbctl.client import Broken, Client, NoLeader, Refused, Unreached

HEAD = b"HTTP/1.1 200 OK\r\nDnslb-Version: 1\r\nDnslb-Time: 2026-01-01T00:00:00Z\r\n"


class Peer:
    """Answers each connection with given pieces, then hangs up, or does not."""

    def __init__(self, path: Path, pieces: tuple[bytes, ...], *, hang: bool) -> None:
        self.path = str(path)
        self.requests: list[bytes] = []
        self._pieces = pieces
        self._hang = hang
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.left = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        conn, _ = self.listener.accept()
        with conn:
            self.requests.append(conn.recv(65536))
            for piece in self._pieces:
                conn.sendall(piece)
            if self._hang:
                self.left.wait(10)


@contextmanager
def peer(tmp_path: Path, *pieces: bytes, hang: bool = False) -> Iterator[Peer]:
    found = Peer(tmp_path / "s", pieces, hang=hang)
    found.thread.start()
    try:
        yield found
    finally:
        found.left.set()
        found.thread.join(10)
        found.listener.close()


def test_an_answer(tmp_path: Path) -> None:
    with peer(tmp_path, HEAD + b"Content-Length: 9\r\n", b"\r\n", b'{"a":', b"[1]}") as found:
        reply = Client(found.path, 5).get("/status?a=1")
    assert (reply.value, reply.at, reply.version) == ({"a": [1]}, "2026-01-01T00:00:00Z", "1")
    assert found.requests[0].startswith(b"GET /v1/status?a=1 HTTP/1.0\r\nHost: dnslb\r\n")


def test_an_answer_that_is_perhaps_out_of_date_is_shown_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = HEAD + b"Dnslb-Stale: no leader is known\r\nContent-Length: 2\r\n\r\n[]"
    with peer(tmp_path, stale) as found:
        assert main(["--socket", found.path, "--json", "changes"]) == 0
    said = capsys.readouterr()
    assert said.out == "[]\n"
    assert said.err == "the last known answer, perhaps out of date: no leader is known\n"


def test_a_post(tmp_path: Path) -> None:
    with peer(tmp_path, HEAD, b"\r\n{}") as found:
        assert Client(found.path, 5).post("/commands", {"kind": "sync"}).value == {}
    assert found.requests[0].endswith(b'Content-Length: 15\r\n\r\n{"kind":"sync"}')


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ((), "broke off before it answered"),
        ((b"SSH-2.0-x\r\n",), "does not speak HTTP"),
        ((b"HTTP/1.1 OK\r\n\r\n",), "does not speak HTTP"),
        ((b"HTTP/1.1 200 OK\r\n\r\n{}",), "is not dnslb"),
        ((HEAD,), "cannot be read"),
        ((HEAD, b"\r\n"), "cannot be read"),
        ((HEAD, b"\r\n", b'{"a":'), "cannot be read"),
        ((HEAD, b"Content-Length: 9\r\n\r\n{}"), "broke off in the middle"),
        ((HEAD, b"\r\n17"), "unknown shape"),
        ((HEAD, b"\r\n\xff"), "cannot be read"),
    ],
)
def test_half_an_answer_is_none(tmp_path: Path, pieces: tuple[bytes, ...], sentence: str) -> None:
    with peer(tmp_path, *pieces) as found, pytest.raises(Broken) as broken:
        Client(found.path, 5).get("/status")
    assert sentence in str(broken.value)
    assert found.path in str(broken.value)
    assert broken.value.exit_code == 3


def test_a_daemon_that_hangs_is_given_up(tmp_path: Path) -> None:
    with peer(tmp_path, hang=True) as found, pytest.raises(Broken, match=r"within 0\.05 s"):
        Client(found.path, 0.05).get("/status")


def test_a_daemon_that_hangs_in_the_middle_is_given_up(tmp_path: Path) -> None:
    with (
        peer(tmp_path, HEAD, b"\r\n{", hang=True) as found,
        pytest.raises(Broken, match="did not answer"),
    ):
        Client(found.path, 0.05).get("/status")


def test_a_command_whose_answer_is_lost_may_have_been_done(tmp_path: Path) -> None:
    with peer(tmp_path) as found, pytest.raises(Unreached, match="may or may not have done"):
        Client(found.path, 5).post("/commands", {})


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (b'409 C\r\n\r\n{"error":"no, since","kind":"refused"}', Refused, "no, since"),
        (b'503 C\r\n\r\n{"error":"nobody leads","kind":"no-leader"}', NoLeader, "nobody leads"),
        (b'409 C\r\n\r\n{"ok":false,"sentences":["one","two"]}', Refused, "one two"),
        (b"413 C\r\n\r\nA body may have at most 9 bytes.\n", Refused, "at most 9 bytes"),
        (b"500 C\r\n\r\n", Refused, "answered HTTP status 500"),
        (b"500 C\r\n\r\n[]", Refused, "answered HTTP status 500"),
    ],
)
def test_a_refusal_keeps_its_sentence(
    tmp_path: Path, answer: bytes, error: type[Refused], sentence: str
) -> None:
    with peer(tmp_path, b"HTTP/1.1 " + answer) as found, pytest.raises(error) as refused:
        Client(found.path, 5).get("/status")
    assert sentence in str(refused.value)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unreached, match="there is no socket"):
        Client(str(tmp_path / "none"), 1).get("/status")
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(dead))
    with pytest.raises(Unreached, match="nobody serves"):
        Client(str(dead), 1).get("/status")
    with pytest.raises(Unreached, match="no daemon is reached at"):
        Client(str(tmp_path / ("x" * 200)), 1).get("/status")


def test_lines_come_one_by_one(tmp_path: Path) -> None:
    pieces = (HEAD, b'\r\n{"seq":1}\n{"se', b'q":2}\n', b"\n", b'{"seq":3}\n')
    with peer(tmp_path, *pieces) as found:
        assert [line["seq"] for line in Client(found.path, 5).lines("/events")] == [1, 2, 3]


@pytest.mark.parametrize("end", [b'{"seq":', b"x\n", b"[]\n"])
def test_half_a_line_is_none(tmp_path: Path, end: bytes) -> None:
    with peer(tmp_path, HEAD, b'\r\n{"seq":1}\n', end) as found:
        lines = Client(found.path, 5).lines("/events")
        assert next(lines) == {"seq": 1}
        with pytest.raises(Broken):
            next(lines)


def test_lines_that_are_refused(tmp_path: Path) -> None:
    answer = b'HTTP/1.1 400 B\r\n\r\n{"error":"after: a number","kind":"bad-request"}'
    with peer(tmp_path, answer) as found, pytest.raises(Refused, match="after: a number"):
        next(Client(found.path, 5).lines("/events"))
