"""Any octoDNS provider class as a provider; it runs in processes of its own, one for each pass.

Nothing of octoDNS is loaded here. A write is one process that is held twice: when the zone has
been compared (`prepare`), and, in `send`, when it has been read again, compared again and
planned. Only then comes the word that writes, and it leaves under the gate's cancel scope: no
byte goes to the provider after the lease has ended, however long the second reading took.

octoDNS cannot compare while it writes, so ``fenced`` is False (`safety.md` 2.4): what another
writes between the second reading and the write is noticed afterwards, not prevented.

Law: nothing is written but the plan's own RRsets and the marker; what was accepted is called done
only when a fresh instance of the class reads it as wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from dnslb.errors import ConfigError, ProviderTemporary
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Plan
from dnslb.model.rrset import RRset, ZoneReading
from dnslb.net.clock import Clock
from dnslb.ports.fence import Fence
from dnslb.providers import marker
from dnslb.providers.octodns_directory import Directory
from dnslb.providers.octodns_fence import OctodnsFence
from dnslb.providers.octodns_manner import Manner
from dnslb.providers.octodns_passes import Passes
from dnslb.providers.octodns_process import Worker
from dnslb.providers.octodns_scrub import Scrub
from dnslb.providers.octodns_wire import (
    Planned,
    ProviderClass,
    Ready,
    ReadZone,
    Stands,
    Swap,
    WriteZone,
    to_line,
)

BATCH_MAX = 100
"""Some classes make one call or more for each RRset, and all must fit into one write."""
READ_S_MAX = 55.0
LOOK_S_MAX = 25.0
WRITE_S_MAX = 20.0
"""The kernel ends a pass 15 s after the word to write; the rest is for what is on its way."""
SEND_S_MAX = 80.0
"""Writing and reading back; the zone worker's own limit is lower."""
SLEPT_S_MAX = 0.2
"""By how much the boot clock may outrun the other one: more is a suspended machine."""


class OctodnsProvider:
    """``class_name``: dotted. ``settings``: its keyword arguments, in the clear. ``secrets``: which
    texts among them are known to be secret. ``zones``: the zones to be used; empty: those that
    the class lists. ``accepted``: the worst manner of writing that a person accepted.
    ``ownership``: keep the marker of each zone. Raises `InvalidValue` for an owner id that does
    not fit into a marker, and `ConfigError` for settings that cannot be handed on."""

    def __init__(
        self,
        class_name: str,
        settings: Mapping[str, object],
        owner_id: str,
        *,
        secrets: Collection[str] = (),
        zones: Collection[str] = (),
        accepted: Manner = "rrset",
        ownership: bool = True,
        clock: Clock | None = None,
    ) -> None:
        if ownership:
            marker.to_text(FencingToken(owner_id, 10**17, 10**17, "0" * 32))
        provider = ProviderClass(class_name, settings, accepted)
        try:
            to_line(provider)
        except UnicodeEncodeError:
            # Without its cause, which holds the text.
            raise ConfigError(
                "[octodns] holds a text that is no UTF-8, which cannot be handed to the class"
            ) from None
        self._passes = Passes(provider, Scrub(secrets, settings))
        self._directory = Directory(self._passes, class_name, zones)
        self._fence = OctodnsFence(self._passes, owner_id) if ownership else None
        self._clock = clock or Clock()
        self._held_records: set[str] = set()
        self._capabilities = Capabilities(
            shared=True,
            marked=ownership,
            batch_max=BATCH_MAX,
            write_s_max=WRITE_S_MAX,
            verifiable=True,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def fence(self) -> Fence | None:
        """None without ownership: no marker is kept then."""
        return self._fence

    async def find_zone(self, name: str) -> str | None:
        return await self._directory.find(name)

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        doing = f"Reading {zone}"
        stands = await self._passes.run(ReadZone(zone, names), Stands, doing, READ_S_MAX)
        self._check_emptiness(zone, stands.total)
        return ZoneReading(zone, names, {r.key: r for r in stands.rrsets}, stands.cnames)

    async def prepare(self, plan: Plan, token: FencingToken) -> PreparedOctodnsWrite:
        """Starts the pass; it has read and compared RRsets and marker when this returns."""
        plan.check({change.key.name for change in plan.changes})
        async with AsyncExitStack() as stack:
            doing = f"Changing {plan.zone}"
            worker = await stack.enter_async_context(self._passes.worker(doing))
            swaps = tuple(
                Swap(change.key, _bare(change.before), _bare(change.after))
                for change in plan.changes
            )
            task = WriteZone(plan.zone, swaps, token if self._fence is not None else None)
            await worker.ask(self._passes.request(task), Ready, READ_S_MAX)
            return PreparedOctodnsWrite(worker, stack.pop_all(), self._clock)

    def _check_emptiness(self, zone: str, total: int) -> None:
        """A zone that held records and shows none is doubted for as long as this process lives."""
        if total:
            self._held_records.add(zone)
        elif zone in self._held_records:
            raise ProviderTemporary(
                f"{zone} shows no record at all, and it held some before: that is not believed. If "
                "everything was really removed, restart dnslb."
            )


class PreparedOctodnsWrite:
    """A worker that has compared the zone and waits for two words."""

    def __init__(self, worker: Worker, stack: AsyncExitStack, clock: Clock) -> None:
        self._worker = worker
        self._stack = stack
        self._clock = clock

    async def send(self) -> Receipt:
        before = self._clock.now()
        await self._worker.ask("look", Planned, LOOK_S_MAX)
        after = self._clock.now()
        if (after.boot - before.boot) - (after.mono - before.mono) > SLEPT_S_MAX:
            # The gate's scope ends by a clock that stands still meanwhile; the lease does not.
            raise ProviderTemporary(
                "This machine slept while the zone was being read again, so the right to write may "
                "have ended: nothing was written."
            )
        stands = await self._worker.ask("write", Stands, SEND_S_MAX, writes=True)
        return Receipt(rrsets=stands.rrsets, notices=stands.notices)

    async def aclose(self) -> None:
        await self._stack.aclose()


def _bare(rrset: RRset | None) -> RRset | None:
    return None if rrset is None else replace(rrset, basis=None)
