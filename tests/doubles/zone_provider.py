"""A provider that does what the test tells it to: waits, fails, counts, records the order.

Unlike the memory provider it keeps no records; it is for those who call a provider.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from dnslb.errors import ProviderError
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Plan
from dnslb.model.rrset import ZoneReading


@dataclass
class ScriptedProvider:
    """``calls``: what was called, in order. The deques hold errors to raise, None for none;
    ``*_s``: how long each call takes; ``before_gate``: run at the end of each `prepare`."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    zones: tuple[str, ...] = ("example.org",)
    calls: list[str] = field(default_factory=list)
    sent: list[Plan] = field(default_factory=list)
    tokens: list[FencingToken] = field(default_factory=list)
    closed: int = 0
    find_errors: deque[ProviderError | None] = field(default_factory=deque)
    read_errors: deque[ProviderError | None] = field(default_factory=deque)
    prepare_errors: deque[ProviderError | None] = field(default_factory=deque)
    send_errors: deque[ProviderError | None] = field(default_factory=deque)
    read_s: float = 0.0
    prepare_s: float = 0.0
    send_s: float = 0.0
    before_gate: Callable[[], None] = lambda: None
    on_send: Callable[[], None] = lambda: None

    async def find_zone(self, name: str) -> str | None:
        self.calls.append(f"find {name}")
        await trio.lowlevel.checkpoint()
        _raise_next(self.find_errors)
        return next((z for z in self.zones if name.endswith(z)), None)

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        self.calls.append(f"scan {zone}" if scan else f"read {zone}")
        await trio.sleep(self.read_s)
        _raise_next(self.read_errors)
        return ZoneReading(zone, names, {})

    async def prepare(self, plan: Plan, token: FencingToken) -> ScriptedWrite:
        self.calls.append(f"prepare {plan.zone}")
        self.tokens.append(token)
        await trio.sleep(self.prepare_s)
        _raise_next(self.prepare_errors)
        self.before_gate()
        return ScriptedWrite(self, plan)


@dataclass
class ScriptedFence:
    """A fence as obedient as the provider; ``taken``: the tokens, in order."""

    taken: list[FencingToken] = field(default_factory=list)
    errors: deque[ProviderError | None] = field(default_factory=deque)
    take_s: float = 0.0

    async def read(self, zone: str) -> FencingToken | None:
        await trio.lowlevel.checkpoint()
        return self.taken[-1] if self.taken else None

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        await trio.sleep(self.take_s)
        _raise_next(self.errors)
        self.taken.append(token)

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        await trio.lowlevel.checkpoint()
        self.taken.clear()


@dataclass
class ScriptedWrite:
    provider: ScriptedProvider
    plan: Plan

    async def send(self) -> Receipt:
        self.provider.calls.append(f"send {self.plan.zone}")
        self.provider.sent.append(self.plan)
        self.provider.on_send()
        await trio.sleep(self.provider.send_s)
        _raise_next(self.provider.send_errors)
        rrsets = tuple(change.after for change in self.plan.changes if change.after is not None)
        return Receipt(rrsets, basis=f"after write {len(self.provider.sent)}")

    async def aclose(self) -> None:
        self.provider.closed += 1
        await trio.lowlevel.checkpoint()


def _raise_next(errors: deque[ProviderError | None]) -> None:
    if errors and (error := errors.popleft()) is not None:
        raise error
