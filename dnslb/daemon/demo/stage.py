"""The demo's stage: endpoints that can die, agents that can lose their network, a zone, a file.

Everything is real but one thing: an agent's broken network is played by turning the votes that it
tells, since this process has only one network. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import trio

from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import DOWN, Report
from dnslb.net.listen import LOOPBACK, bound_port, open_tcp
from dnslb.ports.source import Deliver, Source
from dnslb.ports.watched import Watched

NAME = "www.demo.test"
ZONE = "demo.test"
AGENTS = ("frankfurt", "virginia", "osaka")
ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")

_ZONE_TEXT = """\
; a zone file like any other: dnslb changes the addresses of www and the serial, nothing else
$TTL 300
@       IN SOA  ns.demo.test. hostmaster.demo.test. ( 1 3600 600 86400 300 )
        IN NS   ns
ns      IN A    192.0.2.53
mail    IN A    192.0.2.25   ; not ours, so it keeps even its spaces
"""


class Endpoint:
    """A TCP service on loopback, published under an address from the documentation range."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.port = 0
        self._scope: trio.CancelScope | None = None

    async def start(self, nursery: trio.Nursery) -> None:
        """Listens, on the same port as before."""
        listeners = await open_tcp(self.port, LOOPBACK)
        self.port = bound_port(listeners[0])
        scope = self._scope = trio.CancelScope()
        nursery.start_soon(self._serve, listeners, scope)

    def die(self) -> None:
        """Refuses connections from now on, as a crashed process does."""
        if self._scope is not None:
            self._scope.cancel()

    async def _serve(self, listeners: list[trio.SocketListener], scope: trio.CancelScope) -> None:
        with scope:
            await trio.serve_listeners(_hang_up, listeners)


async def _hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


class Agent:
    """A source whose network can be cut: it then sees everything down, and says so."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._deliver: Deliver | None = None
        self._last: Report | None = None
        self.cut = False

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        self._deliver = deliver
        await self._source.run(self._take, monitors)

    async def set_cut(self, cut: bool) -> None:
        """Cuts the network, or mends it, and tells what the agent sees now."""
        self.cut = cut
        if self._last is not None:
            await self._take(self._last)

    async def _take(self, report: Report) -> None:
        self._last = report
        if self.cut:
            messages = dict.fromkeys(range(len(report.votes)), "network is unreachable")
            report = replace(report, votes=bytes([DOWN]) * len(report.votes), messages=messages)
        assert self._deliver is not None
        await self._deliver(report)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie, for the curious."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "dnslb.toml"

    @property
    def zone(self) -> Path:
        return self.directory / "zones" / f"{ZONE}.zone"

    @property
    def socket(self) -> Path:
        return self.directory / "demo.sock"

    @property
    def log(self) -> Path:
        return self.directory / "dnslb.log"

    def furnish(self, endpoints: list[Endpoint]) -> None:
        """Writes the zone file and a configuration that one could start from."""
        self.zone.parent.mkdir()
        (self.directory / "state").mkdir()
        self.zone.write_text(_ZONE_TEXT)
        rows = "\n".join(
            f'  {{ monitor = "tcp://{LOOPBACK}:{e.port}", address = "{e.address}" }},'
            for e in endpoints
        )
        agents = ", ".join(f'"{agent}"' for agent in AGENTS)
        self.config.write_text(
            f'election = "singleton"\n'
            f'instance-identifier = "{AGENTS[0]}"\n'
            f"agents = [{agents}]\n"
            f'provider = "file"\n'
            f'file-dir = "{self.zone.parent}"\n'
            f'state-dir = "{self.directory / "state"}"\n'
            f'control-socket = "{self.socket}"\n'
            f"zone-sync-interval-upload = 0.2\n\n"
            f'[lb."{NAME}"]\n'
            f"endpoints = [\n{rows}\n]\n"
            f"ttl = 30\n"
            f"up-after = 1\n"
            f'max-withdraw = "50%"   # of more than half, a person decides\n'
        )
