"""What can be found out about a provider without writing: a finding for each thing looked at.

Not the canary, which writes. Nothing here is concluded from an error but the error itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from dnslb.daemon.config import Config
from dnslb.daemon.registry import Publication
from dnslb.errors import ProviderError
from dnslb.model.capabilities import Capabilities
from dnslb.model.rrset import RRsetKey, ZoneReading
from dnslb.ports.fence import Fence

Level = Literal["ok", "warning", "error"]
SKEW_S_MAX = 2.0
"""HTTP and TSIG tell whole seconds."""
_NOBODYS_NAME = "canary.invalid"
"""Asked for where no name is configured: it is in no zone (RFC 6761 6.4)."""
_NO_ZONE = (
    "the provider has no zone for it: create the zone there, or take the name out of the "
    "configuration"
)


class Finding(NamedTuple):
    """``subject``: a name, a zone or the provider."""

    level: Level
    subject: str
    sentence: str


Tell = Callable[[Finding], None]


class Examination:
    def __init__(self, config: Config, publication: Publication, tell: Tell) -> None:
        self._config = config
        self._publication = publication
        self._provider = publication.provider
        self._tell = tell

    async def run(self) -> None:
        """Looks at the provider, then at each zone with its names."""
        zones = await self._find_zones([lb.name for lb in self._config.loadbalancers])
        self._tell_capabilities(self._provider.capabilities)
        for zone, names in sorted(zones.items()):
            await self._examine(zone, names)
        if (skew_s := self._publication.clock_skew_s()) is not None:
            self._tell_skew(skew_s)

    async def _find_zones(self, names: list[str]) -> dict[str, list[str]]:
        """Zone → names. What is the same for many names is told once."""
        zones: dict[str, list[str]] = {}
        troubled: dict[str, list[str]] = {}
        for name in names or [_NOBODYS_NAME]:
            try:
                zone = await self._provider.find_zone(name)
            except ProviderError as error:
                troubled.setdefault(str(error), []).append(name)
                continue
            if zone is None:
                troubled.setdefault(_NO_ZONE, []).append(name)
            else:
                zones.setdefault(zone, []).append(name)
        for sentence, about in troubled.items():
            if names:
                self._tell(Finding("error", _subject(about), sentence))
            elif sentence != _NO_ZONE:
                self._tell(Finding("error", str(self._config.provider), sentence))
        if not names:
            sentence = "no load balancer is configured, so there is no zone to look at"
            self._tell(Finding("warning", str(self._config.provider), sentence))
        return zones

    def _tell_capabilities(self, capabilities: Capabilities) -> None:
        provider = str(self._config.provider)
        if capabilities.fenced:
            sentence = "each write compares the marker at its instant: fenced"
            self._tell(Finding("ok", provider, sentence))
        elif capabilities.shared:
            marker = "is compared only before a write" if capabilities.marked else "is not kept"
            sentence = (
                f"the marker {marker}, so a writer that was stopped in the middle can still write "
                "once after another took over: unfenced"
            )
            self._tell(Finding("warning", provider, sentence))

    async def _examine(self, zone: str, names: list[str]) -> None:
        try:
            reading = await self._provider.read(zone, frozenset(names))
        except ProviderError as error:
            self._tell(Finding("error", zone, str(error)))
            return
        for name in names:
            self._tell(_standing(reading, name))
        if self._publication.fence is not None:
            self._tell(await look_at_marker(self._publication.fence, zone, self._config.owner_id))
        await self._rehearse(zone, names)

    async def _rehearse(self, zone: str, names: list[str]) -> None:
        if self._publication.rehearse is None:
            sentence = "whether it may be written shows only a write (--canary NAME)"
            self._tell(Finding("ok", zone, sentence))
            return
        try:
            sentence = await self._publication.rehearse(zone, names)
        except ProviderError as error:
            self._tell(Finding("error", zone, str(error)))
        else:
            self._tell(Finding("ok", zone, sentence))

    def _tell_skew(self, skew_s: float) -> None:
        provider = str(self._config.provider)
        if abs(skew_s) <= SKEW_S_MAX:
            sentence = f"its clock and ours are within {SKEW_S_MAX:g} s of each other"
            self._tell(Finding("ok", provider, sentence))
            return
        way = "ahead of" if skew_s > 0 else "behind"
        sentence = f"its clock is {abs(skew_s):.0f} s {way} ours: set both by NTP"
        self._tell(Finding("warning", provider, sentence))


async def look_at_marker(fence: Fence, zone: str, owner_id: str | None) -> Finding:
    """Whose ``zone`` is."""
    try:
        held = await fence.read(zone)
    except ProviderError as error:
        return Finding("error", zone, str(error))
    if held is None:
        sentence = "has no marker yet, so it is nobody's: the first instance takes it"
        return Finding("ok", zone, sentence)
    if held.owner_id == owner_id:
        sentence = f"the marker is ours (epoch {held.epoch}, term {held.term})"
        return Finding("ok", zone, sentence)
    sentence = (
        f"belongs to owner id {held.owner_id!r} (epoch {held.epoch}, term {held.term}), ours is "
        f"{owner_id!r}: nothing is written here until 'dnslb adopt {zone}' takes it over"
    )
    return Finding("error", zone, sentence)


def _standing(reading: ZoneReading, name: str) -> Finding:
    if (target := reading.cnames.get(name)) is not None:
        sentence = (
            f"is a CNAME to {target} in {reading.zone}: dnslb writes no addresses beside it; "
            "remove it, or take the name out of the configuration"
        )
        return Finding("error", name, sentence)
    found = [reading.rrsets.get(RRsetKey(name, rtype)) for rtype in ("A", "AAAA")]
    shown = "; ".join(
        f"{rrset.key.rtype} {', '.join(rrset.values)} (TTL {rrset.ttl})" for rrset in found if rrset
    )
    return Finding("ok", name, f"in {reading.zone}: {shown or 'no address stands there yet'}")


def _subject(names: Iterable[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more" if others else first
