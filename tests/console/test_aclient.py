"""The asyncio client against the real control server, and against what is no such server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterView
from dnslbctl import aclient
from dnslbctl.aclient import AsyncClient
from dnslbctl.client import Broken, NoLeader, Refused, Unreached
from tests.console.wire import wire
from tests.dnslbctl.daemon import running
from tests.doubles.operations import entry, ep, lb, picture

STATUS = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))


async def drain(events: AsyncGenerator[object, None]) -> None:
    async for _ in events:
        pass


def test_asking(tmp_path: Path) -> None:
    with running(tmp_path / "s", STATUS) as daemon:
        client = AsyncClient(str(daemon.path))

        async def ask() -> None:
            reply = await client.get("/status")
            assert reply.value["instance_id"] == "here"
            assert reply.at == "2026-01-01T00:00:00Z"
            assert len((await client.get("/endpoints")).value) == 1, "streamed, without a length"
            done = await client.post("/commands", {"kind": "sync"}, wait_s=5)
            assert done.value == {"ok": True, "sentences": ["done"]}
            with pytest.raises(Refused, match="there is no load balancer nobody"):
                await client.get("/why/nobody")
            daemon.shown.answer = CommandRefused("not now")
            with pytest.raises(Refused, match=r"^not now$"):
                await client.post("/commands", {"kind": "sync"})
            daemon.shown.members = ClusterView("candidate", 1, None, ())
            with pytest.raises(NoLeader):
                await client.post("/commands", {"kind": "sync"})

        asyncio.run(ask())


def test_watching(tmp_path: Path) -> None:
    with running(tmp_path / "s", STATUS) as daemon:

        async def watch() -> None:
            client = AsyncClient(str(daemon.path))
            async with aclosing(client.watch()) as events:
                first = await anext(events)
                assert first["lbs"]["www.example.org"]["rows"]
                daemon.say_soon(entry("news"))
                while not (event := await anext(events)).get("events"):
                    pass
                assert event["events"][0]["message"] == "news"
                daemon.stop_soon()
                with pytest.raises(Broken, match="is stopping"):
                    await drain(events)

        asyncio.run(watch())


def test_a_cut_wire_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aclient, "QUIET_S", 0.3)
    with running(tmp_path / "s", STATUS) as daemon:

        async def watch() -> None:
            async with wire(tmp_path / "w", daemon.path) as between:
                client = AsyncClient(str(between.path))
                async with aclosing(client.watch()) as events:
                    await anext(events)
                    between.hold()
                    with pytest.raises(Broken, match=r"shows no sign of life for 0\.3 s"):
                        await drain(events)
                between.release()
                between.cut_at = "POST /v1/commands"
                with pytest.raises(Unreached, match="may or may not have done"):
                    await client.post("/commands", {"kind": "sync"})
                assert len(daemon.shown.commands) == 1
                await between.cut()
                with pytest.raises(Unreached, match="there is no socket"):
                    await client.get("/status")

        asyncio.run(watch())


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
HEAD = b"HTTP/1.1 200 OK\r\nDnslb-Version: 1\r\nDnslb-Time: 2026-01-01T00:00:00Z\r\n"


def saying(data: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "broke off before it answered"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"x" * 300_000, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "is not dnslb"),
        (HEAD + b"Content-Length: 9\r\n\r\n[]", "broke off in the middle"),
        (HEAD + b"\r\n[", "cannot be read"),
        (HEAD + b"\r\n7", "unknown shape"),
    ],
)
def test_what_is_no_answer(tmp_path: Path, said: bytes, told: str) -> None:
    async def ask() -> None:
        path = tmp_path / "s"
        async with await asyncio.start_unix_server(saying(said), path):
            with pytest.raises(Broken, match=told):
                await AsyncClient(str(path)).get("/status")

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b'data: {"seq":1}\n\ndata: {"seq":3}\n\n', "skipped events after number 1"),
        (b'data: {"at":1}\n\n', "skipped events after number None"),
        (b": hello\n\n", "without data"),
        (b"data: [1]\n\n", "unknown shape"),
        (b"data: {\n\n", "cannot be read"),
        (b'data: {"seq":1}', "is stopping"),
    ],
)
def test_what_is_no_stream(tmp_path: Path, said: bytes, told: str) -> None:
    async def watch() -> None:
        path = tmp_path / "s"
        async with await asyncio.start_unix_server(saying(HEAD + b"\r\n" + said), path):
            with pytest.raises(Broken, match=told):
                async for _ in AsyncClient(str(path)).watch():
                    pass

    asyncio.run(watch())


def test_a_daemon_that_never_answers(tmp_path: Path) -> None:
    async def ask() -> None:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gone.wait()
            writer.close()

        path = tmp_path / "s"
        async with await asyncio.start_unix_server(serve, path):
            with pytest.raises(Broken, match=r"did not answer for 0\.2 s"):
                await AsyncClient(str(path), 0.2).get("/status")
            gone.set()

    asyncio.run(ask())
