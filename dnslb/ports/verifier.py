"""Who asks the authoritative servers what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dnslb.model.rrset import RRset, RRsetKey


class Verifier(Protocol):
    async def check(self, zone: str, rrsets: Mapping[RRsetKey, RRset | None]) -> Mapping[str, bool]:
        """Asks each server directly; server → whether it answers exactly these RRsets."""
