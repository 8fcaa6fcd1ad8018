"""Sends a streamed answer item by item, with heartbeats, until it ends or its reader leaves.

Law: whatever happens, all of it happens inside `send_stream`: no task and no open generator
stays behind, and what went wrong is raised as itself, not as an exception group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from dnslb.net.clock import mono_s

Send = Callable[[bytes], Awaitable[None]]


class _Sender:
    """One item at a time, and the instant of the last."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = trio.Lock()
        self.last_at = mono_s()

    async def send(self, data: bytes) -> None:
        async with self._lock:
            await self._send(data)
            self.last_at = mono_s()


async def send_stream(
    body: AsyncIterator[bytes],
    send: Send,
    wait_left: Callable[[], Awaitable[None]],
    *,
    heartbeat: bytes = b"",
    heartbeat_s: float = 0.0,
) -> bool:
    """True when all of ``body`` was sent, False when the reader left before (``wait_left``).

    Raises what ``send`` or ``body`` raise. ``body`` is not closed: see `close_stream`.
    """
    sender = _Sender(send)
    failures: list[Exception] = []
    complete = False

    async def beat() -> None:
        while True:
            due_at = sender.last_at + heartbeat_s
            if mono_s() < due_at:
                await trio.sleep_until(due_at)
            else:
                await sender.send(heartbeat)

    async def until_left() -> None:
        # Without this, a stream with nothing to say would never notice that nobody listens.
        await wait_left()
        nursery.cancel_scope.cancel()

    async def beat_until_failure() -> None:
        try:
            await beat()
        except Exception as error:  # noqa: BLE001  # raised again below, out of the nursery
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_left)
        if heartbeat:
            nursery.start_soon(beat_until_failure)
        try:
            async for item in body:
                if item:  # h11 takes an empty piece for nothing, chunked coding for the end
                    await sender.send(item)
            complete = True
        except Exception as error:  # noqa: BLE001  # raised again below, out of the nursery
            failures.append(error)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
    return complete


async def close_stream(body: AsyncIterator[bytes], limit_s: float) -> None:
    """Lets a generator clean up, for ``limit_s`` at most, even when we are being cancelled."""
    aclose = getattr(body, "aclose", None)
    if aclose is not None:
        with trio.move_on_after(limit_s, shield=True):
            await aclose()
