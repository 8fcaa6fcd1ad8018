"""Zone files ``<directory>/<zone>.zone`` as a provider: read, revised, replaced, reloaded.

Not the text surgery (`zonefile_edit`) and not the reading of text (`zonefile_text`): this is the
disk. Everything that touches it runs in worker threads, so that a slow disk stops no decision.

Law: a zone file is whole at every instant, the old one or the new one: the new text is written
and synced beside it, compared with what was intended, and renamed over it only while the file is
still, byte for byte, the one that was revised. Nothing here reads an error as "empty".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from dnslb.errors import OutcomeUnknown, ProviderRefusal, ProviderTemporary
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Plan
from dnslb.model.rrset import ZoneReading
from dnslb.net.clock import Clock
from dnslb.providers import zonefile_disk as disk
from dnslb.providers.zonefile_edit import cnames_of, cut_above, locate, revise, rrsets_of
from dnslb.providers.zonefile_reload import ReloadCommand
from dnslb.providers.zonefile_text import ZoneText, parse

FULL_CHECK_BYTES_MAX = 4096
"""Up to this size the new text is parsed whole again. Beyond it the new lines alone are: the rest
is cut from a parsed text at the borders of its entries, and inherits what it did before."""
QUIET_S = 1.0
"""A file that is not as we know it has to lie still for this long: somebody may be writing it."""
CLOSE_S_MAX = 2.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Known:
    """A file's content as last read or written. ``derived``: from our own write, not parsed."""

    snapshot: disk.Snapshot
    text: ZoneText
    derived: bool = False


class ZoneFileProvider:
    """``directory`` holds the zone files; ``reload_command`` runs after each write; ``shared``:
    other instances see the same files. Raises `ConfigError` for a command that is none."""

    def __init__(
        self,
        directory: Path,
        reload_command: str | None = None,
        shared: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._directory = directory
        self._reload = None if reload_command is None else ReloadCommand(reload_command)
        self._capabilities = Capabilities(shared=shared)
        self._clock = clock or Clock()
        self._known: dict[str, _Known] = {}
        self._reload_due: set[str] = set()
        self._swept: set[str] = set()
        # Reading may queue up; what is ready to be renamed must not wait behind it.
        self._readers = trio.CapacityLimiter(2)
        self._writers = trio.CapacityLimiter(256)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def find_zone(self, name: str) -> str | None:
        """The longest zone, label by label, that has a file here. Raises `ProviderRefusal` for
        a name that this zone delegates away."""
        wall = self._clock.now().wall
        return await self._in_thread(lambda: self._find_zone(name, wall))

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        wall = self._clock.now().wall
        reading = await self._in_thread(lambda: self._read(zone, names, wall))
        if zone in self._reload_due:
            await self.reload(zone)
        return reading

    async def prepare(self, plan: Plan, token: FencingToken) -> PreparedZoneFile:
        """Revises the file and lays the new one beside it, synced. A file cannot compare
        tokens: the lock on the state directory and the lease gate are what there is."""
        wall = self._clock.now().wall
        return await self._in_thread(lambda: self._prepare(plan, wall))

    async def reload(self, zone: str) -> tuple[str, ...]:
        """Has the zone loaded again; what went wrong, if anything, and then once more when the
        zone is next read."""
        if self._reload is None:
            return ()
        notice = await self._reload.run(zone, self._path(zone))
        if notice is None:
            self._reload_due.discard(zone)
            return ()
        self._reload_due.add(zone)
        return (notice,)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._readers)

    def _path(self, zone: str) -> Path:
        return disk.file_of(self._directory, zone)

    def _find_zone(self, name: str, wall: float) -> str | None:
        zone = disk.zone_of(self._directory, name)
        if zone is None:
            return None
        known = self._known.get(zone)
        if known is None or not known.snapshot.looks_the_same():
            known = self._load(zone, wall)
        if cut := cut_above(known.text, name):
            raise ProviderRefusal(
                f"{name} is below the {cut[1]} record of {cut[0]} in {self._path(zone)}, so that "
                "zone does not answer for it."
            )
        return zone

    def _load(self, zone: str, wall: float, *, parsed: bool = False) -> _Known:
        """The file as it is now. ``parsed``: by a reading of the whole, not by our own edits."""
        path = self._path(zone)
        snapshot, data = disk.take_in(path)
        known = self._known.get(zone)
        if known is not None and known.snapshot.digest == snapshot.digest:
            if not (parsed and known.derived):
                known = self._known[zone] = _Known(snapshot, known.text, known.derived)
                return known
        elif known is not None and abs(wall - snapshot.modified_wall) < QUIET_S:
            raise ProviderTemporary(
                f"The zone file {path} was changed less than {QUIET_S:g} s ago; it is read when "
                "whoever writes it is done.",
                QUIET_S,
            )
        known = _Known(snapshot, parse(data.decode("latin-1"), zone, str(path)))
        self._known[zone] = known
        return known

    def _read(self, zone: str, names: frozenset[str], wall: float) -> ZoneReading:
        known = self._load(zone, wall, parsed=True)
        located = locate(known.text, names)
        return ZoneReading(
            zone=zone,
            names=names,
            rrsets=rrsets_of(known.text, located),
            cnames=cnames_of(known.text, located),
            basis=known.snapshot.digest,
        )

    def _prepare(self, plan: Plan, wall: float) -> PreparedZoneFile:
        path = str(self._path(plan.zone))
        known = self._load(plan.zone, wall)
        revised = revise(known.text, plan, path)
        text = revised.text
        if len(text) <= FULL_CHECK_BYTES_MAX and parse(text, plan.zone, path) != revised:
            raise ProviderRefusal(
                f"{path} read again would not mean what was intended, so it is left as it is; "
                "write the records of this change on plain lines of their own."
            )
        data = text.encode("latin-1")
        if plan.zone not in self._swept:
            disk.sweep(known.snapshot)
            self._swept.add(plan.zone)
        beside = disk.lay_beside(known.snapshot, data)
        return PreparedZoneFile(self, plan, known.snapshot, revised, data, beside)

    async def replace(self, write: PreparedZoneFile) -> Receipt:
        """Carries out a prepared write; for `PreparedZoneFile` alone."""
        zone = write.plan.zone
        work = partial(disk.put_in_place, write.beside, write.snapshot, write.data)
        try:
            snapshot = await trio.to_thread.run_sync(work, limiter=self._writers)
        except OutcomeUnknown:
            self._known.pop(zone, None)
            raise
        self._known[zone] = _Known(snapshot, write.text, derived=True)
        notices = await self.reload(zone)
        rrsets = tuple(c.after for c in write.plan.changes if c.after is not None)
        return Receipt(rrsets=rrsets, basis=snapshot.digest, notices=notices)


class PreparedZoneFile:
    """The new version of a zone file, synced beside the old one; `send` renames it."""

    def __init__(
        self,
        provider: ZoneFileProvider,
        plan: Plan,
        snapshot: disk.Snapshot,
        text: ZoneText,
        data: bytes,
        beside: Path,
    ) -> None:
        self._provider = provider
        self.plan = plan
        self.snapshot = snapshot
        self.text = text
        self.data = data
        self.beside = beside

    async def send(self) -> Receipt:
        return await self._provider.replace(self)

    async def aclose(self) -> None:
        with trio.move_on_after(CLOSE_S_MAX, shield=True):
            await trio.to_thread.run_sync(disk.discard, self.beside, abandon_on_cancel=True)
