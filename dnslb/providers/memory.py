"""Zones in memory: a provider for tests and demonstrations, as strict as any real one.

Not a mock: it compares before it writes, refuses what others refuse, and lets faults be put in
its way by name. Nothing in it outlives the process.

Law: a write happens whole and at one instant, or not at all; every fault is one that a real
provider shows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, get_args

import trio

from dnslb.errors import OutcomeUnknown, ProviderConflict, ProviderError, ProviderRefusal
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.names import longest_zone
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Plan
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.providers import marker

Call = Literal["find_zone", "read", "prepare", "send", "fence"]
WRITES_KEPT_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Fault:
    error: ProviderError | None = None
    delay_s: float = 0.0
    lands: bool = False


@dataclass(slots=True)
class _Zone:
    rrsets: dict[RRsetKey, RRset] = field(default_factory=dict)
    cnames: dict[str, str] = field(default_factory=dict)
    marker: FencingToken | None = None
    serial: int = 1


class MemoryProvider:
    """``zones``: each zone with the RRsets that stand in it at first.

    ``fence`` matters where the capabilities say ``marked``. ``writes`` holds the newest plans
    that were carried out, ``calls`` counts what was asked.
    """

    def __init__(
        self,
        zones: Mapping[str, Iterable[RRset]],
        *,
        cnames: Mapping[str, str] | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self._zones = {zone: _Zone({r.key: r for r in rrsets}) for zone, rrsets in zones.items()}
        for name, target in (cnames or {}).items():
            self._zone_of(name).cnames[name] = target
        self._capabilities = capabilities or Capabilities()
        self._faults: dict[Call, deque[_Fault]] = {}
        self.writes: deque[Plan] = deque(maxlen=WRITES_KEPT_MAX)
        self.calls: dict[Call, int] = dict.fromkeys(get_args(Call), 0)
        self.fence = MemoryFence(self._zones, partial(self._suffer, "fence"))

    # What a test or a demonstration may do behind the controller's back.

    def rrset(self, name: str, rtype: str) -> RRset | None:
        """What stands there now."""
        return self._zone_of(name).rrsets.get(RRsetKey(name, rtype))

    def edit(self, key: RRsetKey, rrset: RRset | None) -> None:
        """Somebody else changes an RRset, or takes it away."""
        zone = self._zone_of(key.name)
        zone.rrsets.pop(key, None)
        if rrset is not None:
            zone.rrsets[key] = rrset
        zone.serial += 1

    def set_cname(self, name: str, target: str) -> None:
        """Somebody else puts a CNAME at a name, in place of what was there."""
        zone = self._zone_of(name)
        zone.rrsets = {k: r for k, r in zone.rrsets.items() if k.name != name}
        zone.cnames[name] = target
        zone.serial += 1

    def fail_next(self, call: Call, error: ProviderError, times: int = 1) -> None:
        """The next calls of this kind raise; nothing is written."""
        self._add_fault(call, _Fault(error=error), times)

    def delay_next(self, call: Call, seconds: float, times: int = 1) -> None:
        """The next calls of this kind take so long; a write takes place at the end."""
        self._add_fault(call, _Fault(delay_s=seconds), times)

    def lose_next_answer(self, *, lands: bool) -> None:
        """The next `send` raises `OutcomeUnknown`; ``lands``: the write took place all the same."""
        error = OutcomeUnknown("The write was sent and no answer came; reading again.")
        self._add_fault("send", _Fault(error=error, lands=lands), 1)

    # The port.

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def find_zone(self, name: str) -> str | None:
        await self._suffer("find_zone")
        return longest_zone(name, self._zones)

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        await self._suffer("read")
        there = self._get(zone)
        return ZoneReading(
            zone=zone,
            names=names,
            rrsets={k: r for k, r in there.rrsets.items() if k.name in names},
            cnames={n: t for n, t in there.cnames.items() if n in names},
            basis=there.serial,
        )

    async def prepare(self, plan: Plan, token: FencingToken) -> PreparedMemoryWrite:
        await self._suffer("prepare")
        self._compare(plan, token)
        return PreparedMemoryWrite(self, plan, token)

    async def apply(self, plan: Plan, token: FencingToken) -> Receipt:
        """Carries out a prepared write; for `PreparedMemoryWrite` alone."""
        fault = await self._delayed("send")
        if fault.error is not None and not fault.lands:
            raise fault.error
        self._compare(plan, token)
        zone = self._get(plan.zone)
        for change in plan.changes:
            zone.rrsets.pop(change.key, None)
            if change.after is not None:
                zone.rrsets[change.key] = replace(change.after, basis=None)
        zone.serial += 1
        self.writes.append(plan)
        if fault.error is not None:
            raise fault.error
        return Receipt(
            rrsets=tuple(c.after for c in plan.changes if c.after is not None), basis=zone.serial
        )

    def _compare(self, plan: Plan, token: FencingToken) -> None:
        zone = self._get(plan.zone)
        plan.check({change.key.name for change in plan.changes})
        if self._capabilities.marked:
            marker.check_write(plan.zone, zone.marker, token)
        if len(plan.changes) > self._capabilities.batch_max:
            raise ProviderRefusal(
                f"A write to {plan.zone} has {len(plan.changes)} changes; at most "
                f"{self._capabilities.batch_max} are taken at once."
            )
        for change in plan.changes:
            if zone.rrsets.get(change.key) != change.before:
                raise ProviderConflict(f"{change.key} in {plan.zone} is not as it was read.")
            if change.after is not None and change.key.name in zone.cnames:
                raise ProviderConflict(f"{change.key.name} in {plan.zone} has become a CNAME.")

    def _zone_of(self, name: str) -> _Zone:
        zone = longest_zone(name, self._zones)
        if zone is None:
            raise ProviderRefusal(f"{name} lies in no zone here.")
        return self._zones[zone]

    def _get(self, zone: str) -> _Zone:
        if zone not in self._zones:
            raise ProviderRefusal(f"There is no zone {zone} here.")
        return self._zones[zone]

    def _add_fault(self, call: Call, fault: _Fault, times: int) -> None:
        self._faults.setdefault(call, deque()).extend([fault] * times)

    async def _delayed(self, call: Call) -> _Fault:
        self.calls[call] += 1
        waiting = self._faults.get(call)
        fault = waiting.popleft() if waiting else _Fault()
        await trio.sleep(fault.delay_s)
        return fault

    async def _suffer(self, call: Call) -> None:
        fault = await self._delayed(call)
        if fault.error is not None:
            raise fault.error


class MemoryFence:
    """`dnslb.ports.fence.Fence`: compared and set at one instant."""

    def __init__(self, zones: Mapping[str, _Zone], suffer: Callable[[], Awaitable[None]]) -> None:
        self._zones = zones
        self._suffer = suffer

    async def read(self, zone: str) -> FencingToken | None:
        await self._suffer()
        return self._get(zone).marker

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        await self._suffer()
        marker.check_take(zone, self._get(zone).marker, token, over)
        self._get(zone).marker = token

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        await self._suffer()
        marker.check_reset(zone, self._get(zone).marker, only)
        self._get(zone).marker = None

    def _get(self, zone: str) -> _Zone:
        if zone not in self._zones:
            raise ProviderRefusal(f"There is no zone {zone} here.")
        return self._zones[zone]


class PreparedMemoryWrite:
    """A write that was compared once and will be compared again at its instant."""

    def __init__(self, provider: MemoryProvider, plan: Plan, token: FencingToken) -> None:
        self._provider = provider
        self._plan = plan
        self._token = token

    async def send(self) -> Receipt:
        return await self._provider.apply(self._plan, self._token)

    async def aclose(self) -> None:
        """Holds nothing."""
        await trio.lowlevel.checkpoint()
