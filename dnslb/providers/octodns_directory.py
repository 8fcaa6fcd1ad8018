"""Which zones there are: those that the configuration names, or what the class lists, remembered.

Law: only a listing that succeeded, and shows at least one zone, says that a zone is not there.
"""

from __future__ import annotations

from collections.abc import Collection

import trio

from dnslb.errors import ProviderError, ProviderRefusal, ProviderTemporary
from dnslb.model.names import longest_zone
from dnslb.net.clock import mono_s
from dnslb.providers.octodns_passes import Passes
from dnslb.providers.octodns_wire import ListZones, Zones

HIT_S_MAX = 300.0
"""How old a listing may be that says where a name lives: a zone below may have come since."""
MISS_S_MAX = 20.0
"""How old one may be that says that there is none."""
LIST_S_MAX = 25.0


class Directory:
    """``configured``: the zones to be used, asked of nobody; empty: those that the class lists."""

    def __init__(self, passes: Passes, name: str, configured: Collection[str] = ()) -> None:
        self._passes = passes
        self._name = name
        self._is_configured = bool(configured)
        self._zones = frozenset(configured)
        self._read_mono = float("-inf")
        self._failure: str | None = None
        self._ended = 0
        self._one_at_a_time = trio.Lock()

    async def find(self, name: str) -> str | None:
        """The zone that serves ``name``; None when there positively is none."""
        await trio.lowlevel.checkpoint()
        if not self._is_configured:
            await self._refresh(HIT_S_MAX)
            if longest_zone(name, self._zones) is None:
                await self._refresh(MISS_S_MAX)
        return longest_zone(name, self._zones)

    async def _refresh(self, age_s_max: float) -> None:
        """One listing at a time; who waited for one takes its result."""
        asked_mono, ended = mono_s(), self._ended
        if asked_mono - self._read_mono <= age_s_max:
            return
        async with self._one_at_a_time:
            if asked_mono - self._read_mono <= age_s_max:
                return
            if self._ended != ended and self._failure is not None:
                # Who waited for a listing that failed does not start the same at once again.
                raise ProviderTemporary(self._failure)
            began_mono, self._failure = mono_s(), None
            try:
                self._zones = await self._list()
                self._read_mono = began_mono
            except ProviderError as error:
                self._failure = str(error)
                raise
            finally:
                self._ended += 1

    async def _list(self) -> frozenset[str]:
        answer = await self._passes.run(ListZones(), Zones, "Listing the zones", LIST_S_MAX)
        if not answer.zones:
            raise ProviderRefusal(
                f"{self._name} lists no zone at all: check what its credentials may see; nothing "
                "is concluded from it."
            )
        return answer.zones
