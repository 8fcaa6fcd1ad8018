"""The control socket as a daemon opens it: real sockets, real clients, real processes."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dnslb.control.server import ControlServer
from dnslb.net.clock import FakeClock
from dnslb.net.http_limits import Refusal
from dnslb.net.listen import open_unix
from tests.doubles.operations import INFO, Shown, ep, lb, picture

STATUS = picture(lb("www.example.org", ep("tcp://192.0.2.1:80"), ep("tcp://192.0.2.2:80", "down")))


class House:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = Shown(STATUS)
        self.errors: list[Exception] = []
        self.server = ControlServer(
            self.shown, self.shown, INFO, FakeClock(), on_error=self.errors.append
        )

    async def ask(self, data: bytes) -> bytes:
        """The whole answer to these bytes, until the server hangs up."""
        async with await trio.open_unix_socket(self.path) as stream:
            # Refused before it was all sent: the answer is there nevertheless.
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(data)
            return b"".join([bytes(part) async for part in stream])


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[House]:
    house = House(path)
    listener = await open_unix(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **given: house.server.serve([listener], **given))
        yield house
        house.server.shutdown()
    assert house.errors == []


def get(path: str, version: str = "1.0") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_both_versions_of_http_are_answered(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        for version in ("1.0", "1.1"):
            head, _, body = (await house.ask(get("/v1/status", version))).partition(b"\r\n\r\n")
            assert b" 200 " in head
            assert b"dnslb-version: 0.1.0" in head.lower()
            assert json.loads(body)["instance_id"] == "here"
        _, _, body = (await house.ask(get("/v1/endpoints"))).partition(b"\r\n\r\n")
        assert len(json.loads(body)) == 2


async def test_curl_works(tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")
    async with serving(tmp_path / "s") as house:
        command = [curl, "-sS", "--fail", "--unix-socket", str(house.path), "http://x/v1/endpoints"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True)
        assert len(json.loads(done.stdout)) == 2
        command = [curl, "-sS", "-i", "--unix-socket", str(house.path), "http://x/v1/nothing"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True)
        assert b'{"error":"there is no /v1/nothing here' in done.stdout


async def test_the_kernel_says_who_commands(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        answer = await house.ask(post("/v1/commands", b'{"kind":"sync"}'))
        assert answer.endswith(b'{"ok":true,"sentences":["done"]}\n')
        assert house.shown.commands[0][0].by == pwd.getpwuid(os.getuid()).pw_name


async def test_hostile_clients_harm_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        big = b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
        assert b" 413 " in await house.ask(big)
        assert b" 400 " in await house.ask(post("/v1/commands", b"[" * 10_000))
        assert b" 400 " in await house.ask(b"\x00\xff garbage\r\n\r\n")
        assert b" 431 " in await house.ask(b"GET /" + b"a" * 100_000)
        assert b" 200 " in await house.ask(get("/v1/status"))
        assert house.server.stats.refused[Refusal.BODY_SIZE] == 1
        assert house.shown.commands == []


async def test_a_reader_that_reads_nothing_stops_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        lazy = await trio.open_unix_socket(house.path)
        await lazy.send_all(get("/v1/watch", "1.1"))
        with trio.fail_after(5):
            for _ in range(50):
                house.shown.show(STATUS)
                assert b" 200 " in await house.ask(get("/v1/status"))
        await lazy.aclose()


async def test_a_shutdown_ends_streams_and_frees_the_name(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        async with await trio.open_unix_socket(house.path) as stream:
            await stream.send_all(get("/v1/watch", "1.1"))
            seen = bytes(await stream.receive_some())
            house.server.shutdown()
            with trio.fail_after(4):
                async for part in stream:
                    seen += bytes(part)
            assert b"event: snapshot" in seen
            assert seen.endswith(b"0\r\n\r\n"), "the stream was cut off, not ended"
        assert not house.path.exists()


async def test_a_client_that_leaves_frees_its_stream(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        for _ in range(100):  # more than may watch at once
            async with await trio.open_unix_socket(house.path) as stream:
                await stream.send_all(get("/v1/watch", "1.1"))
                assert b" 200 " in bytes(await stream.receive_some(64))
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\0" * 8)
            with trio.fail_after(2):
                while house.server.stats.open:  # noqa: ASYNC110  # the server tells nobody
                    await trio.sleep(0.001)
