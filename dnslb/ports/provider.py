"""Where DNS is written."""

from __future__ import annotations

from typing import Protocol

from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Plan
from dnslb.model.rrset import ZoneReading


class PreparedWrite(Protocol):
    """A write that only has to be sent."""

    async def send(self) -> Receipt:
        """Sends it: the only thing after the lease gate, with no wait before the first byte.
        Raises `ProviderError`; when cancelled midway, the zone is whole, old or new."""

    async def aclose(self) -> None:
        """Frees what `prepare` took; safe after `send` and when nothing was sent."""


class Provider(Protocol):
    """One DNS provider. Every method raises `ProviderError` when it is not sure."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def find_zone(self, name: str) -> str | None:
        """The zone that serves ``name`` here; None when this provider has none for it."""

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        """What stands at ``names``; what is missing from the reading is known to be absent.
        ``scan``: nothing waits for it, so whatever way costs the server least is the best."""

    async def prepare(self, plan: Plan, token: FencingToken) -> PreparedWrite:
        """Connects, signs, waits for the call budget and compares, as far as that can be done
        before sending. Raises `ProviderConflict` when the zone is not as the plan believes."""
