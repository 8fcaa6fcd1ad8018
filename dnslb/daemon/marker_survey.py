"""The newest epoch that stands in a marker of ours, for whoever is about to mint another one.

Not the fence, which judges each zone when it is taken (`providers.marker`): this only reads, and
what it does not come to read in time the fence refuses later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio

from dnslb.daemon.registry import Publication
from dnslb.errors import ProviderError
from dnslb.ports.fence import Fence
from dnslb.ports.provider import Provider

SURVEY_S_MAX = 2.0
"""Whoever mints holds a Lease by then, which is of no use before."""
AT_ONCE_MAX = 8


async def newest_epoch(publication: Publication | None, owner_id: str, names: Iterable[str]) -> int:
    """Of the markers of ``owner_id`` in the zones that serve these names, as far as they can be
    read in time; 0 without any."""
    if publication is None or publication.fence is None:
        return 0
    survey = _Survey(publication.provider, publication.fence, owner_id)
    waiting = iter(names)
    with trio.move_on_after(SURVEY_S_MAX):
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE_MAX):
                nursery.start_soon(survey.read, waiting)
    return survey.newest


class _Survey:
    def __init__(self, provider: Provider, fence: Fence, owner_id: str) -> None:
        self._provider = provider
        self._fence = fence
        self._owner_id = owner_id
        self._zones: set[str] = set()
        self.newest = 0

    async def read(self, names: Iterator[str]) -> None:
        for name in names:
            await trio.lowlevel.checkpoint()
            try:
                zone = await self._provider.find_zone(name)
                if zone is None or zone in self._zones:
                    continue
                self._zones.add(zone)
                token = await self._fence.read(zone)
            except ProviderError:
                # The zone's worker meets it, too, and says so.
                continue
            if token is not None and token.owner_id == self._owner_id:
                self.newest = max(self.newest, token.epoch)
