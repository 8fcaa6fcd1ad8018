"""May these addresses leave DNS now? The withdrawal guard with its window and its latch.

Within a window only a share of each load balancer's addresses, and of all, is withdrawn; the
excess is *held*, and no window releases it: only a person, or life returning, does. Additions
and what operators withdraw are never limited (`safety.md` 4.4 to 4.6). No clock, no DNS in here.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dnslb.decide.settings import GuardSettings
from dnslb.model.checkpoint import Flaps, GuardMemory, Held, Member, Window
from dnslb.model.instant import Now
from dnslb.model.rrset import RRsetKey

APPROVAL_S_MAX = 600.0


class Withdrawal(NamedTuple):
    """Addresses that one RRset is to lose. ``exempt``: those that an operator took out or
    approved. ``keeps_living``: the load balancer keeps a living endpoint, so it goes first."""

    lb: str
    key: RRsetKey
    addresses: frozenset[str]
    exempt: frozenset[str]
    keeps_living: bool
    share: float


@dataclass(slots=True)
class _Window:
    opened_mono: float
    base: dict[str, int]
    withdrawn: set[Member] = field(default_factory=set)
    spent: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def __post_init__(self) -> None:
        self.total = sum(self.base.values())

    def charge(self, member: Member) -> None:
        self.withdrawn.add(member)
        self.spent[member[0]] += 1


@dataclass(slots=True)
class Episode:
    """Held withdrawals from one RRset, from the first until none is left."""

    number: int
    since_mono: float
    addresses: set[str]


class Guard:
    """The guard's memory while this instance decides; ages go out, monotonic instants stay."""

    def __init__(self) -> None:
        self._window: _Window | None = None
        self._episodes: dict[RRsetKey, Episode] = {}
        self._count = 0

    def judge(
        self,
        withdrawals: Iterable[Withdrawal],
        published: Mapping[str, int],
        settings: GuardSettings,
        now: Now,
    ) -> dict[RRsetKey, frozenset[str]]:
        """What each RRset must keep for now; charges the rest to the window.

        ``published``: addresses in DNS per load balancer, the denominator if a window opens.
        """
        if self._window and now.mono - self._window.opened_mono >= settings.window_s:
            self._window = None
        held: dict[RRsetKey, frozenset[str]] = {}
        order = sorted(withdrawals, key=lambda w: (not w.keeps_living, w.key))
        for withdrawal in order:
            kept = self._judge_one(withdrawal, published, settings, now)
            if kept:
                held[withdrawal.key] = kept
        return held

    def _judge_one(
        self, w: Withdrawal, published: Mapping[str, int], settings: GuardSettings, now: Now
    ) -> frozenset[str]:
        episode = self._episodes.get(w.key)
        kept: set[str] = set()
        for address in sorted(w.addresses - w.exempt):
            latched = episode is not None and address in episode.addresses
            if latched or not self._charge((w.lb, address), w.share, published, settings, now):
                kept.add(address)
        if kept:
            if episode is None:
                self._count += 1
                episode = self._episodes[w.key] = Episode(self._count, now.mono, set())
            episode.addresses |= kept
        return frozenset(kept)

    def _charge(
        self,
        member: Member,
        share: float,
        published: Mapping[str, int],
        settings: GuardSettings,
        now: Now,
    ) -> bool:
        """Takes one address from the budget; False when there is none left."""
        window = self._window or _Window(now.mono, dict(published))
        if member in window.withdrawn:
            return True
        lb = member[0]
        base = window.base.get(lb, published.get(lb, 0))
        if share < 1 and window.spent[lb] + 1 > _budget(share, base):
            return False
        total_share = settings.max_withdraw_total
        limited = total_share < 1 and window.total >= settings.total_from
        if limited and len(window.withdrawn) + 1 > _budget(total_share, window.total):
            return False
        window.charge(member)
        self._window = window
        return True

    def release(self, key: RRsetKey, addresses: Collection[str]) -> None:
        """Life returned, or an approved withdrawal is done: these wait no longer."""
        if episode := self._episodes.get(key):
            episode.addresses.difference_update(addresses)
            if not episode.addresses:
                del self._episodes[key]

    def episode(self, key: RRsetKey) -> Episode | None:
        return self._episodes.get(key)

    @property
    def episodes(self) -> Mapping[RRsetKey, Episode]:
        return self._episodes

    def to_memory(self, flaps: Mapping[Member, Flaps], now: Now) -> GuardMemory:
        """Everything as ages, composed at this instant."""
        window = self._window
        held = {
            key: Held(e.number, max(0.0, now.mono - e.since_mono), frozenset(e.addresses))
            for key, e in self._episodes.items()
        }
        return GuardMemory(
            window=None
            if window is None
            else Window(
                max(0.0, now.mono - window.opened_mono),
                dict(window.base),
                frozenset(window.withdrawn),
            ),
            held=held,
            flaps=flaps,
            episodes=self._count,
        )

    def restore(self, memory: GuardMemory, older_s: float, now: Now) -> None:
        """Takes over a predecessor's memory, composed ``older_s`` seconds ago."""
        self._window = None
        if memory.window is not None:
            opened = now.mono - memory.window.age_s - older_s
            self._window = _Window(opened, dict(memory.window.base))
            for member in memory.window.withdrawn:
                self._window.charge(member)
        self._episodes = {
            key: Episode(held.episode, now.mono - held.age_s - older_s, set(held.addresses))
            for key, held in memory.held.items()
        }
        self._count = memory.episodes

    @property
    def charges(self) -> tuple[object, ...]:
        """What must be durable before a withdrawal is sent; equal values mean nothing new."""
        window = self._window
        return (
            frozenset(window.withdrawn) if window else None,
            window.opened_mono if window else None,
            {key: (e.number, frozenset(e.addresses)) for key, e in self._episodes.items()},
        )


def _budget(share: float, published: int) -> int:
    """So many addresses may leave: rounded up, but never because 7 % of 100 is 7.000000000000001
    in binary."""
    return math.ceil(round(share * published, 6))


def held_id(kind: str, zone: str, key: RRsetKey, addresses: Iterable[str], episode: int) -> str:
    """Eight hexadecimal digits: one address more or another episode makes another id."""
    text = repr((kind, zone, key.name, key.rtype, sorted(addresses), episode))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
