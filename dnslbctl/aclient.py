"""Speaks to one daemon over its control socket, on asyncio: for whoever watches it.

The same wire and the same exceptions as `client`, which blocks. HTTP/1.0 by hand: two kinds of
answers are all there is, and a client library costs more start-up time than the first picture.

Law: an answer is whole or an error; every wait has an end; nothing is sent twice. A stream that
is silent for longer than the daemon's heartbeat allows is a dead one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dnslb.api.codec import BODY_BYTES_MAX, encode
from dnslb.api.version import PREFIX, TIME_HEADER, VERSION_HEADER
from dnslbctl.client import Broken, Reply, Unreached, refusal, to_value, why_unreached

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

TIMEOUT_S = 10.0
QUIET_S = 3.0
"""A heartbeat comes every second; after so much silence the daemon hangs or the way is cut."""
CHUNK_BYTES = 256 * 1024
HEAD_BYTES_MAX = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_EVENT = b"\n\n"

monotonic = time.monotonic
"""The clock by which whoever watches tells how old a picture is; seconds."""


class AsyncClient:
    """One daemon, by the path of its socket; ``timeout_s`` bounds each exchange."""

    def __init__(self, path: str, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def move_on(self) -> None:
        """Watches and asks the next daemon from now on, where there are several."""

    async def get(self, target: str) -> Reply:
        """The answer to ``GET /v1<target>``; raises `Failed`."""
        return await self._exchange("GET", target, b"", self.timeout_s)

    async def post(self, target: str, value: object, wait_s: float = 0.0) -> Reply:
        """The answer to a POST; the daemon may take ``wait_s`` before it answers."""
        try:
            return await self._exchange("POST", target, encode(value), wait_s + self.timeout_s)
        except Broken as error:
            raise Unreached(f"{error}; it may or may not have done what was asked") from error

    async def watch(self) -> AsyncGenerator[dict[str, Any], None]:
        """Events of the stream, each a snapshot (it has ``row``) or a delta, until it breaks;
        always ends by raising `Failed`."""
        async with self._connected("GET", "/watch", b"", self.timeout_s) as reader:
            async with self._patience(self.timeout_s):
                status, _ = await self._read_head(reader)
                if status != 200:
                    raise refusal(self.path, status, await reader.read(HEAD_BYTES_MAX))
            last = None
            async for data in self._read_events(reader):
                event = to_value(self.path, data, dict)
                seq = event.get("seq")
                if not isinstance(seq, int) or (last is not None and seq != last + 1):
                    raise Broken(self.path, f"skipped events after number {last}")
                last = seq
                yield event
        raise Broken(self.path, "ended the stream: it is stopping")

    async def _read_events(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The data of each server-sent event."""
        buffer = bytearray()
        while True:
            async with self._patience(QUIET_S, "shows no sign of life"):
                chunk = await reader.read(CHUNK_BYTES)
            if not chunk:
                return
            searched = max(len(buffer) - 1, 0)
            buffer += chunk
            while (end := buffer.find(_END_OF_EVENT, searched)) >= 0:
                start = buffer.find(b"data: ", 0, end)
                if start < 0:
                    raise Broken(self.path, "sent an event without data")
                yield bytes(memoryview(buffer)[start + 6 : end])
                del buffer[: end + 2]
                searched = 0
            if len(buffer) > BODY_BYTES_MAX:
                raise Broken(self.path, "sent more than any event can be")

    async def _exchange(self, method: str, target: str, body: bytes, timeout_s: float) -> Reply:
        async with (
            self._connected(method, target, body, self.timeout_s) as reader,
            self._patience(timeout_s),
        ):
            status, headers = await self._read_head(reader)
            answer = bytearray()
            while chunk := await reader.read(CHUNK_BYTES):
                answer += chunk
                if len(answer) > BODY_BYTES_MAX:
                    raise Broken(self.path, "sent more than any answer can be")
        length = headers.get("content-length", "")
        if length.isdecimal() and len(answer) < int(length):
            raise Broken(self.path, "broke off in the middle of its answer")
        if status != 200:
            raise refusal(self.path, status, bytes(answer))
        return Reply(headers, to_value(self.path, bytes(answer), (dict, list)))

    @asynccontextmanager
    async def _connected(
        self, method: str, target: str, body: bytes, timeout_s: float
    ) -> AsyncIterator[asyncio.StreamReader]:
        """A connection on which the request was sent; what breaks in it is `Broken`."""
        head = (
            f"{method} {PREFIX}{target} HTTP/1.0\r\nHost: dnslb\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader, writer = await self._open(timeout_s)
        try:
            writer.write(head.encode("ascii") + body)
            yield reader
        except OSError as error:
            raise self._broken(error) from error
        finally:
            # Not `close`: over TLS that waits for the other end to say goodbye, and there is
            # nothing left to say.
            writer.transport.abort()

    async def _open(self, timeout_s: float) -> Streams:
        """A connection; raises `Unreached`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.open_unix_connection(self.path, limit=CHUNK_BYTES)
        except OSError as error:
            raise Unreached(why_unreached(self.path, error)) from error

    def _broken(self, error: OSError) -> Unreached:
        """What became of the connection."""
        return Broken(self.path, f"broke the connection off ({error.strerror or error})")

    @asynccontextmanager
    async def _patience(self, seconds: float, what: str = "did not answer") -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise Broken(self.path, f"{what} for {seconds:g} s") from error

    async def _read_head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        try:
            head = (await reader.readuntil(_END_OF_HEAD)).decode("latin-1")
        except asyncio.IncompleteReadError as error:
            raise Broken(self.path, "broke off before it answered") from error
        except asyncio.LimitOverrunError as error:
            raise Broken(self.path, "does not speak HTTP") from error
        first, *lines = head.split("\r\n")
        words = first.split(" ", 2)
        if not first.startswith("HTTP/1.") or len(words) < 2 or not words[1].isdecimal():
            raise Broken(self.path, "does not speak HTTP")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if words[1] == "200" and not {VERSION_HEADER.lower(), TIME_HEADER.lower()} <= {*headers}:
            raise Broken(self.path, "is not dnslb")
        return int(words[1]), headers
