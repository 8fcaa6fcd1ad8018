"""Speaks to one daemon over its control socket, blocking: one request, one answer.

Over the network it is the same but for the connection: see `remote`.

HTTP/1.0 over a unix socket by hand, since http.client doubles the start-up time of the whole
program and asyncio trebles it.

Law: an answer is whole or an error; every wait has an end; nothing is sent twice.
"""

from __future__ import annotations

import io
import socket
import time

from dnslb.api.codec import BODY_BYTES_MAX, Malformed, decode, encode
from dnslb.api.version import PREFIX, STALE_HEADER, TIME_HEADER, VERSION_HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Iterator, Mapping
    from typing import Any, BinaryIO

HEAD_LINES_MAX = 64
LINE_BYTES_MAX = 1024 * 1024
HEARTBEAT_LOST_S = 10.0
TLS_ALERT = b"\x15\x03"


class Failed(Exception):
    """Something did not work; ``str()`` is a sentence, ``exit_code`` the contract's number."""

    exit_code = 1


class Refused(Failed):
    """The daemon said no, and why."""


class Elsewhere(Refused):
    """It is done elsewhere: at the member ``address``, or through the socket ``socket``."""

    def __init__(self, sentence: str, *, address: str = "", socket: str = "") -> None:
        super().__init__(sentence)
        self.address = address
        self.socket = socket


class Unreached(Failed):
    """No daemon answered."""

    exit_code = 3


class Broken(Unreached):
    """The daemon was reached, and then there was no whole answer."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"the daemon at {path} {what}")


class NoLeader(Failed):
    """The cluster had no leader within the time-out."""

    exit_code = 4


class Ambiguous(Failed):
    """Several instances run here and none was named."""

    exit_code = 2


class Reply:
    """An answer: the decoded ``value``, and the daemon's own clock and version beside it.
    ``stale``: why it may be out of date."""

    def __init__(self, headers: Mapping[str, str], value: Any) -> None:
        self.value = value
        self.at = headers[TIME_HEADER.lower()]
        self.version = headers[VERSION_HEADER.lower()]
        self.stale = headers.get(STALE_HEADER.lower(), "")


class Deadline:
    """The instant ``seconds`` from now, which can be put off by `renew`."""

    def __init__(self, seconds: float) -> None:
        self.renew(seconds)

    def renew(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return self._at - time.monotonic()


class _Source(io.RawIOBase):
    """What a socket gives until the deadline, however slowly it drips."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if (left_s := self._deadline.left_s) <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        return self._sock.recv_into(buffer)


class Client:
    """One daemon, by the path of its socket; ``timeout_s`` bounds each whole exchange."""

    stranger = "is not dnslb, or broke off in the head of its answer"
    """What is said of whoever answers, but not as a daemon does."""
    mute = "broke off before it answered"

    def __init__(self, path: str, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def probe(self) -> None:
        """Raises `Unreached` unless somebody serves the socket."""
        self._connect(self.timeout_s).close()

    def get(self, target: str) -> Reply:
        """The answer to ``GET /v1<target>``; raises `Failed`."""
        return self._exchange("GET", target, b"", self.timeout_s)

    def post(self, target: str, value: object, wait_s: float = 0.0) -> Reply:
        """The answer to a POST; the daemon may take ``wait_s`` before it answers."""
        try:
            return self._exchange("POST", target, encode(value), wait_s + self.timeout_s)
        except Broken as error:
            raise Unreached(f"{error}; it may or may not have done what was asked") from error

    def lines(self, target: str) -> Iterator[dict[str, Any]]:
        """Objects of a stream of JSON lines, as they come, until the daemon ends it."""
        deadline = Deadline(self.timeout_s)
        with self._connect(deadline.left_s) as sock:
            stream = io.BufferedReader(_Source(sock, deadline))
            self._send(sock, "GET", target, b"")
            try:
                status, _ = self._read_head(stream)
                if status != 200:
                    raise refusal(self.path, status, stream.read(LINE_BYTES_MAX))
                deadline.renew(max(self.timeout_s, HEARTBEAT_LOST_S))
                while line := stream.readline(LINE_BYTES_MAX):
                    if not line.endswith(b"\n"):
                        raise Broken(self.path, "broke off in the middle of a line")
                    if line.strip():  # a blank one is a heartbeat
                        yield to_value(self.path, line, dict)
                    deadline.renew(deadline.seconds)
            except OSError as error:
                raise self.broken(error, deadline.seconds) from error

    def _exchange(self, method: str, target: str, body: bytes, timeout_s: float) -> Reply:
        deadline = Deadline(timeout_s)
        with self._connect(timeout_s) as sock:
            stream = io.BufferedReader(_Source(sock, deadline))
            self._send(sock, method, target, body)
            answer = bytearray()
            try:
                status, headers = self._read_head(stream)
                while data := stream.read1(262_144):
                    answer += data
                    if len(answer) > BODY_BYTES_MAX:
                        raise Broken(self.path, "sent more than any answer can be")
            except OSError as error:
                raise self.broken(error, timeout_s) from error
        length = headers.get("content-length", "")
        if length.isdecimal() and len(answer) < int(length):
            raise Broken(self.path, "broke off in the middle of its answer")
        if status != 200:
            raise refusal(self.path, status, bytes(answer))
        return Reply(headers, to_value(self.path, bytes(answer), (dict, list)))

    def _connect(self, timeout_s: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout_s)
        try:
            sock.connect(self.path)
        except OSError as error:
            sock.close()
            raise Unreached(why_unreached(self.path, error)) from error
        return sock

    def _send(self, sock: socket.socket, method: str, target: str, body: bytes) -> None:
        head = (
            f"{method} {PREFIX}{target} HTTP/1.0\r\nHost: dnslb\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            sock.sendall(head.encode("ascii") + body)
        except BrokenPipeError:
            pass  # a refusal may stand there already, and says more than we could
        except OSError as error:
            raise self.broken(error, self.timeout_s) from error

    def _read_head(self, stream: BinaryIO) -> tuple[int, dict[str, str]]:
        first = stream.readline(LINE_BYTES_MAX)
        if not first or first.startswith(TLS_ALERT):
            raise Broken(self.path, self.mute)
        words = first.decode("latin-1").split(" ", 2)
        if not first.startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdecimal():
            raise Broken(self.path, "does not speak HTTP")
        headers = {}
        for _ in range(HEAD_LINES_MAX):
            line = stream.readline(LINE_BYTES_MAX).decode("latin-1")
            if line in ("\r\n", "\n", ""):
                break
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        known = {VERSION_HEADER.lower(), TIME_HEADER.lower()} <= {*headers}
        if words[1] in ("200", "404") and not known:
            raise Broken(self.path, self.stranger)
        return int(words[1]), headers

    def broken(self, error: OSError, limit_s: float) -> Unreached:
        if isinstance(error, TimeoutError):
            return Broken(self.path, f"did not answer within {limit_s:.3g} s")
        return Broken(self.path, f"broke the connection off ({error.strerror or error})")


def to_value(path: str, data: bytes, kind: type | tuple[type, ...]) -> Any:
    """What the daemon at ``path`` answered, which has to be of a ``kind``; raises `Broken`."""
    try:
        value = decode(data)
    except Malformed as error:
        raise Broken(path, f"gave an answer that cannot be read ({error})") from error
    if not isinstance(value, kind):
        raise Broken(path, "gave an answer of an unknown shape")
    return value


def refusal(path: str, status: int, body: bytes) -> Failed:
    """The exception for an answer that is no success."""
    try:
        value = decode(body)
    except Malformed:  # the server's own refusals are one line of text
        value = {"error": body[:1000].decode("utf-8", "replace").strip()}
    said = value if isinstance(value, dict) else {}
    sentences, leader, kind = said.get("sentences"), said.get("leader"), said.get("kind")
    listed = sentences if isinstance(sentences, list) else []
    sentence = str(said.get("error") or "") or " ".join(map(str, listed))
    if kind == "no-leader":
        return NoLeader(sentence)
    if kind == "not-leader" and isinstance(leader, dict):
        return Elsewhere(sentence, address=str(leader.get("address")))
    if kind == "control-socket":
        return Elsewhere(sentence, socket=str(said.get("socket")))
    return Refused(sentence or f"the daemon at {path} answered HTTP status {status}")


def why_unreached(path: str, error: OSError) -> str:
    """A sentence for a connection that could not be made."""
    if isinstance(error, FileNotFoundError):
        return f"no daemon is reached: there is no socket {path}; is dnslb running?"
    if isinstance(error, ConnectionRefusedError):
        return f"no daemon is reached: nobody serves {path} any more; is dnslb running?"
    if isinstance(error, PermissionError):
        return (
            f"no daemon is reached: you may not use {path}; "
            "try with sudo, or join the group given with -control-group"
        )
    if isinstance(error, (TimeoutError, BlockingIOError)):
        return f"no daemon is reached: the one at {path} takes no connection; does it hang?"
    return f"no daemon is reached at {path}: {error.strerror or error}"
