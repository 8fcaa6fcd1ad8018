"""The demo's cluster: three real daemons as processes on loopback, killed, stopped and started.

Not the story (`cluster.py`). They write one zone file, in turn; what they say is read from their
logs, and what they are asked goes through their control sockets.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from dnslb.api.version import PREFIX
from dnslb.daemon.demo.stage import AGENTS, NAME, Endpoint, Places
from dnslb.errors import CommandRefused
from dnslb.net.listen import LOOPBACK, bound_port, open_tcp

START_S_MAX = 30.0
ASK_S_MAX = 40.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
_DAEMON = (sys.executable, "-c", "from dnslb.daemon.main import cli; cli()")


class Member:
    """One daemon; its directory outlives its process."""

    def __init__(self, places: Places, name: str, port: int) -> None:
        self.name = name
        self.address = f"{LOOPBACK}:{port}"
        self.socket = places.directory / f"{name}.sock"
        self._config = places.directory / f"{name}.toml"
        self._log = places.directory / f"{name}.log"
        self.process: trio.Process | None = None

    def furnish(self, places: Places, endpoints: list[Endpoint]) -> None:
        rows = "\n".join(
            f'  {{ monitor = "tcp://{LOOPBACK}:{e.port}", address = "{e.address}" }},'
            for e in endpoints
        )
        self._config.write_text(
            f'election = "raft"\ninstance-identifier = "{self.name}"\n'
            f'raft-address = "{self.address}"\nraft-dir = "{places.directory}"\n'
            f'provider = "file"\nfile-dir = "{places.zone.parent}"\nfile-shared = true\n'
            f'control-socket = "{self.socket}"\nzone-sync-interval-upload = 0.2\n\n'
            f'[lb."{NAME}"]\nendpoints = [\n{rows}\n]\nttl = 30\nup-after = 1\n'
        )

    async def start(self, *flags: str) -> None:
        with self._log.open("ab") as log:
            command = [*_DAEMON, "-cfg", str(self._config), "-json-logging", *flags]
            self.process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )

    def send_signal(self, number: int) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process is not None:
            self.send_signal(signal.SIGKILL)
            await self.process.wait()
            self.process = None

    async def follow_log(self) -> AsyncIterator[dict[str, Any]]:
        """Its log lines as they come, from the beginning; across its processes."""
        read = 0
        while True:
            data = self._log.read_bytes()[read:] if self._log.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            read += len(whole)
            for line in whole.splitlines():
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry
            await trio.sleep(0.02)

    # -------------------------------------------------------------------------------- asking

    async def ask(self, path: str, body: object = None) -> Any:
        """The answer of its control API. Raises `CommandRefused` or OSError."""
        data = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        head = f"{method} {PREFIX}{path} HTTP/1.0\r\nHost: dnslb\r\nContent-Length: {len(data)}\r\n"
        answer = b""
        with trio.fail_after(ASK_S_MAX):
            async with await trio.open_unix_socket(str(self.socket)) as stream:
                await stream.send_all(head.encode() + b"\r\n" + data)
                async for part in stream:
                    answer += part
                    if len(answer) > ANSWER_BYTES_MAX:
                        raise CommandRefused(f"{self.name} answers without end")
        top, _, content = answer.partition(b"\r\n\r\n")
        value = json.loads(content) if content else {}
        if top.split(b" ", 2)[1:2] != [b"200"]:
            raise CommandRefused(str(value.get("error", "no answer")))
        return value

    async def role(self) -> str:
        """As its status says; "" while it does not answer."""
        try:
            with trio.move_on_after(1):
                return str((await self.ask("/status"))["role"])
        except (OSError, CommandRefused, ValueError):
            pass
        return ""

    async def wait_ready(self) -> None:
        with trio.fail_after(START_S_MAX):
            while not await self.role():  # noqa: ASYNC110  # another process tells nobody
                await trio.sleep(0.05)


class Members:
    def __init__(self, members: list[Member]) -> None:
        self.all = members

    async def form(self) -> None:
        """One founds the cluster, the others are added."""
        first, *others = self.all
        await first.start("-raft-bootstrap")
        for member in others:
            await member.start()
        for member in self.all:
            await member.wait_ready()
        for member in others:
            await self.raft(first, "add_voter", member.name, member.address, "0")

    async def raft(self, member: Member, *words: str) -> str:
        command, *arguments = words
        reply = await member.ask("/raft", {"command": command, "arguments": arguments})
        return " ".join(reply["lines"])

    async def leader(self, but: Member | None = None) -> Member:
        """Whoever says that it leads, once somebody does."""
        with trio.fail_after(START_S_MAX):
            while True:
                for member in self.all:
                    running = member.process is not None and member is not but
                    if running and await member.role() == "leader":
                        return member
                await trio.sleep(0.02)


@asynccontextmanager
async def members(places: Places, endpoints: list[Endpoint]) -> AsyncIterator[Members]:
    """Three of them, furnished; whatever runs at the end is ended."""
    made = []
    for name in AGENTS:
        member = Member(places, name, await _free_port())
        member.furnish(places, endpoints)
        made.append(member)
    try:
        yield Members(made)
    finally:
        with trio.move_on_after(5, shield=True):
            for member in made:
                await member.kill()


async def _free_port() -> int:
    listeners = await open_tcp(0, LOOPBACK)
    port = bound_port(listeners[0])
    for listener in listeners:
        await listener.aclose()
    return port
