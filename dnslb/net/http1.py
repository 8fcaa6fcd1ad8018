"""One HTTP/1.1 connection on a trio stream: requests read by h11, answered one after another.

Law: a request is handled only when it was read whole, within the limits and beyond doubt about
its framing (RFC 9112 6.3 and 11.2); after any refusal the connection ends. What a handler or a
stream raises never leaves the connection: it is counted and given to ``on_error``.

h11 keeps the grammar; limits, times and closing are kept here. Upgrades are ignored, which is
allowed (RFC 9110 7.8). There is no Date header, since this module reads no clock (6.6.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from math import ceil
from types import MappingProxyType

import h11
import trio

from dnslb.net.clock import mono_s
from dnslb.net.http_limits import Refusal, Refused
from dnslb.net.http_message import (
    TEXT,
    HttpError,
    Request,
    Response,
    reason_phrase,
    split_target,
)
from dnslb.net.http_stream import close_stream, send_stream
from dnslb.net.http_visit import Visit

READ_BYTES = 64 * 1024


class Disconnected(Exception):
    """The client is gone or too slow; nothing more can be said to it. Without a message: not
    worth counting, or counted already."""


class Connection:
    """Speaks HTTP with one client until either side has had enough.

    ``received`` are bytes that were read from the stream before it was known to be HTTP.
    """

    def __init__(self, visit: Visit, stream: trio.abc.Stream, received: bytes = b"") -> None:
        self._visit = visit
        self._service = visit.service
        self._limits = visit.service.limits
        self._stats = visit.service.stats
        self._stream = stream
        self._h11 = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self._limits.header_bytes_max
        )
        self._body_bytes = 0
        self._first = True
        self._refused = False
        if received:
            self._h11.receive_data(received)

    async def run(self) -> None:
        """Returns when the connection may be closed; raises only what trio's cancelling does."""
        try:
            while await self._exchange():
                self._h11.start_next_cycle()
            if self._refused or self._h11.trailing_data[0]:
                await self._linger()
        except Disconnected as error:
            if error.args:
                self._visit.refused(Refusal.DISCONNECTED, str(error))

    # ---------------------------------------------------------------- one request, one answer

    async def _exchange(self) -> bool:
        """One request and its answer; True when another may follow on this connection."""
        try:
            if not await self._wait_first_byte():
                return False
            request = await self._read_request()
            self._stats.requests += 1
            response = await self._handle(request)
            await self._respond(request.method, response)
        except Refused as refusal:
            await self._refuse(refusal)
            return False
        except h11.RemoteProtocolError as error:
            await self._refuse(_malformed(error))
            return False
        finally:
            self._release_body()
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def _wait_first_byte(self) -> bool:
        """False when the connection ended while nothing was being asked."""
        if self._h11.trailing_data[0]:
            self._first = False
            return not self._service.closing.is_set()
        first, self._first = self._first, False
        limit_s = self._limits.header_s if first else self._limits.idle_s
        asked = False
        try:
            with self._visit.idling(limit_s) as idle:
                await self._fill()
                asked = True
        except Disconnected:
            return False
        if first and not asked and mono_s() >= idle.deadline:
            self._visit.refused(Refusal.HEADER_TIMEOUT, "the client connected and said nothing")
        return asked

    async def _fill(self) -> None:
        """Reads once into h11; raises `Disconnected` at end of file."""
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Disconnected("the connection broke") from error
        if not data:
            raise Disconnected("the client hung up in the middle of a request")
        self._h11.receive_data(bytes(data))

    async def _next_event(self) -> h11.Event:
        # A checkpoint for each event: a buffer full of tiny chunks must not hold up the loop.
        await trio.lowlevel.checkpoint()
        while not isinstance(event := self._h11.next_event(), h11.Event):
            await self._fill()
        return event

    # ----------------------------------------------------------------------------- the request

    async def _read_request(self) -> Request:
        with trio.move_on_after(self._limits.header_s) as in_time:
            head = await self._next_event()
        if in_time.cancelled_caught:
            raise Refused(Refusal.HEADER_TIMEOUT, 408, "The request's head took too long.")
        if not isinstance(head, h11.Request):
            raise Disconnected("the client left before it asked for anything")
        headers = self._check_head(head)
        try:
            path, query = split_target(head.target)
        except ValueError as error:
            raise Refused(Refusal.MALFORMED, 400, str(error)) from error
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        body = await self._read_body()
        return Request(
            method=head.method.decode("ascii"),
            path=path,
            query=query,
            headers=headers,
            body=body,
            peer=self._visit.peer,
            closing=self._service.closing,
        )

    def _check_head(self, head: h11.Request) -> Mapping[str, str]:
        """Refuses what must not be handled, before its body is read; gives the headers."""
        raw = head.headers.raw_items()
        # h11 bounds only an unfinished head; one that came in a single read is measured here.
        size = len(head.target) + sum(len(name) + len(value) + 4 for name, value in raw)
        if size > self._limits.header_bytes_max:
            raise Refused(Refusal.HEADER_SIZE, 431, "The request's head is too large.")
        if head.http_version not in {b"1.1", b"1.0"}:
            raise Refused(Refusal.UNSUPPORTED, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken.")
        if head.method == b"CONNECT":
            raise Refused(Refusal.UNSUPPORTED, 501, "This is no proxy.")
        headers: dict[str, str] = {}
        for name_bytes, value_bytes in head.headers:
            name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if "transfer-encoding" in headers and (
            "content-length" in headers or head.http_version == b"1.0"
        ):
            # RFC 9112 6.1: someone before us may have seen another end of this request.
            raise Refused(Refusal.MALFORMED, 400, "The length of the body is ambiguous.")
        if headers.get("expect", "100-continue").lower() != "100-continue":
            raise Refused(Refusal.UNSUPPORTED, 417, "That expectation is not met here.")
        wait_s = self._service.throttle(self._visit.peer) if self._service.throttle else 0.0
        if wait_s > 0:
            retry = (("retry-after", str(ceil(wait_s))),)
            raise Refused(Refusal.THROTTLED, 429, "Too many requests; try again later.", retry)
        self._check_size(int(headers.get("content-length", 0)))
        return MappingProxyType(headers)

    def _check_size(self, body_bytes: int) -> None:
        if body_bytes > self._limits.body_bytes_max:
            sentence = f"A body may have at most {self._limits.body_bytes_max} bytes."
            raise Refused(Refusal.BODY_SIZE, 413, sentence)

    async def _read_body(self) -> bytes:
        body = bytearray()
        with trio.move_on_after(self._limits.body_s) as in_time:
            while isinstance(event := await self._next_event(), h11.Data):
                self._check_size(len(body) + len(event.data))
                body += event.data
                self._body_bytes += len(event.data)
                self._stats.bodies_bytes += len(event.data)
                if self._stats.bodies_bytes > self._limits.bodies_bytes_max:
                    raise Refused(
                        Refusal.BODIES_SIZE,
                        503,
                        "Too much is being received at once; try again.",
                        (("retry-after", "1"),),
                    )
        if in_time.cancelled_caught:
            raise Refused(Refusal.BODY_TIMEOUT, 408, "The request's body took too long.")
        return bytes(body)

    def _release_body(self) -> None:
        self._stats.bodies_bytes -= self._body_bytes
        self._body_bytes = 0

    # ------------------------------------------------------------------------------ the answer

    async def _handle(self, request: Request) -> Response:
        """The handler's answer, or the one that tells of its failure."""
        doing = f"answering {request.method} {request.path}"
        try:
            with trio.move_on_after(self._limits.handler_s):
                return await self._service.handler(request)
        except HttpError as error:
            return Response.text(error.status, str(error), error.headers)
        except Exception as error:  # noqa: BLE001  # a handler's fault is not the daemon's end
            self._visit.failed(Refusal.HANDLER_FAILED, error, doing)
            return Response.text(500, "Something went wrong here; the daemon's log says what.")
        sentence = f"No answer within {self._limits.handler_s:g} s; it may or may not be done."
        self._visit.refused(Refusal.HANDLER_TIMEOUT, f"{doing}: {sentence}")
        return Response.text(503, sentence)

    async def _respond(self, method: str, response: Response) -> None:
        self._stats.answers[response.status] += 1
        body = response.body
        if isinstance(body, bytes):
            content = b"" if method == "HEAD" else body
            head = self._head(response, len(body), last=self._service.closing.is_set())
            await self._send(head, h11.Data(data=content), h11.EndOfMessage())
            return
        self._release_body()
        try:
            await self._respond_stream(method, response, body)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001  # nor is a stream's; its reader sees it cut
            self._visit.failed(Refusal.STREAM_FAILED, error, "streaming an answer")

    async def _respond_stream(
        self, method: str, response: Response, body: AsyncIterator[bytes]
    ) -> None:
        try:
            head = self._head(response, None, last=True)
            if method == "HEAD":
                await self._send(head, h11.EndOfMessage())
                return
            await self._send(head)
            complete = await send_stream(
                body,
                self._send_data,
                self._wait_left,
                heartbeat=response.heartbeat,
                heartbeat_s=response.heartbeat_s,
            )
            if complete:
                await self._send(h11.EndOfMessage())
        finally:
            await close_stream(body, self._limits.linger_s)

    def _head(self, response: Response, length: int | None, *, last: bool) -> h11.Response:
        """``length`` None: a stream. ``last``: nothing may follow on this connection."""
        headers = [("content-type", response.content_type), *response.headers]
        if length is None:
            headers.append(("cache-control", "no-store"))
        elif response.status not in {204, 304}:
            headers.append(("content-length", str(length)))
        if last:
            headers.append(("connection", "close"))
        return h11.Response(
            status_code=response.status,
            reason=reason_phrase(response.status).encode("ascii"),
            headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in headers],
        )

    async def _send_data(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def _wait_left(self) -> None:
        """Returns when the client has left."""
        try:
            while await self._stream.receive_some(READ_BYTES):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join([part for event in events if (part := self._h11.send(event))])
        with trio.move_on_after(self._limits.send_s) as in_time:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise Disconnected("the client hung up before its answer was sent") from error
        if in_time.cancelled_caught:
            sentence = f"the client read nothing for {self._limits.send_s:g} s"
            self._visit.refused(Refusal.SEND_TIMEOUT, sentence)
            raise Disconnected

    # -------------------------------------------------------------------------------- the end

    async def _refuse(self, refusal: Refused) -> None:
        """Says why, if the client can still hear it, and lets the answer arrive."""
        self._visit.refused(refusal.kind, str(refusal))
        self._release_body()
        self._refused = True
        if self._h11.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        text = f"{refusal}\n".encode()
        response = Response(refusal.status, text, TEXT, refusal.headers)
        self._stats.answers[refusal.status] += 1
        head = self._head(response, len(text), last=True)
        await self._send(head, h11.Data(data=text), h11.EndOfMessage())

    async def _linger(self) -> None:
        """Reads on for a while after the last answer: closing with unread bytes would reset
        the connection and the answer would be lost with it (RFC 9112 9.6)."""
        with self._visit.idling(self._limits.linger_s):
            try:
                # A TLS stream cannot close one direction: its clients go by the length.
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
                left = self._limits.linger_bytes_max
                while left > 0 and (data := await self._stream.receive_some(READ_BYTES)):
                    left -= len(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass


def _malformed(error: h11.RemoteProtocolError) -> Refused:
    """h11 says 431 for a head that is too large, 501 for an unknown transfer coding."""
    status = error.error_status_hint
    kinds = {431: Refusal.HEADER_SIZE, 501: Refusal.UNSUPPORTED}
    sentence = f"The request cannot be read: {error}."
    return Refused(kinds.get(status, Refusal.MALFORMED), status, sentence)
