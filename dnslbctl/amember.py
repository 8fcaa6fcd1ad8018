"""Watches one member of a raft cluster over the network, on asyncio.

Only the stream is read here. What is asked and ordered goes the way of `remote`, in a thread:
such an answer may send us on to the leader or to a socket, and that is judged in one place.

Law: of several members, the next one is watched when one goes away, and that it went is said. One
that was named alone is said to be gone, not replaced: which one is looked at is the operator's
choice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dnslbctl.aclient import CHUNK_BYTES, AsyncClient
from dnslbctl.remote import PROBE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnslbctl.aclient import Streams
    from dnslbctl.client import Reply, Unreached
    from dnslbctl.remote import RemoteClient


class AsyncMember(AsyncClient):
    """The member that ``client`` speaks to; ``others``: who are watched when it goes away."""

    def __init__(self, client: RemoteClient, others: Sequence[RemoteClient] = ()) -> None:
        super().__init__(client.path, client.timeout_s)
        self._members = deque((client, *others))

    @property
    def _client(self) -> RemoteClient:
        return self._members[0]

    def move_on(self) -> None:
        self._members.rotate(-1)
        self.path = self._client.path

    async def get(self, target: str) -> Reply:
        return await in_thread(lambda: self._client.get(target))

    async def post(self, target: str, value: object, wait_s: float = 0.0) -> Reply:
        return await in_thread(lambda: self._client.post(target, value, wait_s))

    async def _open(self, timeout_s: float) -> Streams:
        client = self._client
        credentials = client.credentials
        tls: dict[str, Any] = {}
        if credentials is not None:
            tls = {"ssl": credentials.context, "server_hostname": client.host}
        if len(self._members) > 1:
            timeout_s = min(timeout_s, PROBE_S)  # the next one may be there
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.open_connection(
                    client.host, client.port, limit=CHUNK_BYTES, **tls
                )
        except (OSError, UnicodeError) as error:
            raise client.unreached(error, timeout_s) from error

    def _broken(self, error: OSError) -> Unreached:
        return self._client.broken(error, self.timeout_s)


async def in_thread(call: Callable[[], Reply]) -> Reply:
    """What a blocking ``call`` returns or raises. Its thread holds up no end of the program, as
    one of an executor would: an order may wait for its effect for half a minute."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Reply] = loop.create_future()

    def settle(reply: Reply | None, error: Exception | None) -> None:
        if future.done():  # nobody waits any more
            return
        if error is not None:
            future.set_exception(error)
        elif reply is not None:
            future.set_result(reply)

    def run() -> None:
        reply, error = None, None
        try:
            reply = call()
        except Exception as raised:  # noqa: BLE001 - it is raised again where it is awaited
            error = raised
        with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            loop.call_soon_threadsafe(settle, reply, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
