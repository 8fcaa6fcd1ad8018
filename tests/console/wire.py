"""A way to a daemon that a test can cut, hold and mend: bytes in, bytes out, on asyncio.

It stands between the console and the real control server, so what travels is the real wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Wire:
    """Carries connections from ``path`` to the socket behind it."""

    def __init__(self, path: Path, behind: Path) -> None:
        self.path = path
        self._behind = behind
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._carrying: set[asyncio.Task[None]] = set()
        self.requests: list[str] = []
        """The first line of each."""
        self.cut_at = ""
        """A request whose first line has this in it reaches the daemon, but no answer comes."""

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def cut(self) -> None:
        """Nobody listens any more, and what was under way breaks off."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def hold(self) -> None:
        """Nothing that the daemon says comes through, but connections stay."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        to_daemon: asyncio.StreamWriter | None = None
        try:
            first = await reader.readline()
            self.requests.append(first.decode())
            answers, to_daemon = await asyncio.open_unix_connection(self._behind)
            to_daemon.write(first)
            asking = asyncio.create_task(self._carry(reader, to_daemon))
            if self.cut_at and self.cut_at.encode() in first:
                await answers.read(1)
                return
            try:
                while data := await answers.read(65536):
                    await self._flows.wait()
                    writer.write(data)
                    await writer.drain()
            finally:
                asking.cancel()
        except (ConnectionError, asyncio.CancelledError):
            pass  # one of both ends left, or the test cut it
        finally:
            writer.close()
            if to_daemon is not None:
                to_daemon.close()
            self._carrying.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def wire(path: Path, behind: Path) -> AsyncIterator[Wire]:
    made = Wire(path, behind)
    await made.start()
    try:
        yield made
    finally:
        await made.cut()
