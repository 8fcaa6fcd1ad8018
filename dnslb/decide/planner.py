"""What may go out now: ownership, drift, guard, pauses and gates over all that is not as wanted.

Runs on the lease holder (and in a dry run), over all zones at once, since the guard's budget is
shared. Decides what goes out, what waits and what is held, each with its sentence; sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set as AbstractSet
from dataclasses import dataclass, field

from dnslb.decide import held
from dnslb.decide.balancer import Balancer
from dnslb.decide.diff import Difference, differences, to_change
from dnslb.decide.guard import Withdrawal, held_id
from dnslb.decide.held import HeldChange, HeldKind, Trouble
from dnslb.decide.memory import Memory
from dnslb.decide.override import pause_on
from dnslb.decide.ownership import RivalWatch, is_as_left
from dnslb.decide.precedent import Precedence
from dnslb.decide.settings import Settings
from dnslb.decide.zone import Zone
from dnslb.model.checkpoint import Owned
from dnslb.model.instant import Now
from dnslb.model.operator import OperatorState
from dnslb.model.plan import Change
from dnslb.model.rrset import RRsetKey


@dataclass(slots=True)
class ZonePlan:
    """What came out for one zone. ``waiting``: changes that a gate or a pause keeps back, each
    with why. ``approvals``: held ids that the changes consume. ``open``: names not as wanted."""

    changes: list[Change] = field(default_factory=list)
    waiting: list[tuple[Change, str]] = field(default_factory=list)
    held: list[HeldChange] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    approvals: dict[str, tuple[RRsetKey, frozenset[str]]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    deleted_names: list[str] = field(default_factory=list)
    due_mono: float = float("inf")


@dataclass(frozen=True, slots=True)
class Ground:
    """What every judgement in one round rests on. ``no_withdrawals``: why no address may be
    withdrawn by a verdict now, or None."""

    memory: Memory
    operator: OperatorState
    settings: Settings
    precedence: Precedence
    no_withdrawals: str | None
    now: Now


class Planner:
    """Remembers rivals and the published count; everything else is handed in."""

    def __init__(self) -> None:
        self.rivals = RivalWatch()
        self._published: dict[str, int] = {}
        self._counted: object = None

    def plan(
        self, work: Mapping[str, tuple[Zone, list[Balancer]]], zones: Iterable[Zone], ground: Ground
    ) -> dict[str, ZonePlan]:
        """A `ZonePlan` for each zone in ``work``, from the load balancers to look at there."""
        self._count_published(list(zones), ground.memory)
        plans: dict[str, ZonePlan] = {}
        different: dict[str, list[Difference]] = {}
        for name, (zone, balancers) in sorted(work.items()):
            plans[name] = out = ZonePlan()
            under_way = zone.keys_under_way()
            different[name] = [
                part
                for balancer in balancers
                for part in self._unasked(
                    zone,
                    [
                        d
                        for d in self._differences(zone, balancer, under_way, ground, out)
                        if self._is_ours_to_change(zone, d, ground, out)
                    ],
                    ground,
                    out,
                )
            ]
        kept = self._guard(work, different, plans, ground)
        for name, out in plans.items():
            self._emit(work[name][0], different[name], kept, ground, out)
            self._delete_released(work[name][0], ground, out)
        return plans

    def _differences(
        self,
        zone: Zone,
        balancer: Balancer,
        under_way: AbstractSet[RRsetKey],
        ground: Ground,
        out: ZonePlan,
    ) -> list[Difference]:
        name = balancer.lb.name
        if balancer.frozen is not None or not balancer.decided:
            return []
        if target := zone.cnames.get(name):
            out.troubles.append(held.cname(name, target))
            out.open.add(name)
            return []
        memory = ground.memory
        for rtype in balancer.lb.rtypes:
            self._unlatch(RRsetKey(name, rtype), zone, balancer, memory)
        ttl_min = ground.settings.capabilities.ttl_min
        different, equal = differences(balancer, zone, memory.owned, ttl_min)
        for key in equal:
            existing = zone.rrsets.get(key)
            if balancer.desired.is_echo and not is_as_left(existing, memory.owned.get(key)):
                continue
            if key in under_way:
                # What is about to stand there must be known as ours until it is known what does.
                continue
            self.rivals.settled(key)
            memory.remember(
                key, Owned(zone.name, existing.ttl, existing.values) if existing else None
            )
        if different:
            out.open.add(name)
        return different

    def _unlatch(self, key: RRsetKey, zone: Zone, balancer: Balancer, memory: Memory) -> None:
        """Life returned, or the address is not in DNS any more: it waits for nobody. One that
        lives and is to leave all the same (a better priority lives again) goes on waiting."""
        if episode := memory.guard.episode(key):
            rrset = zone.rrsets.get(key)
            gone = episode.addresses - set(rrset.values if rrset else ())
            returned = balancer.living.intersection(balancer.desired.addresses)
            memory.guard.release(key, returned | gone)

    def _is_ours_to_change(self, zone: Zone, d: Difference, ground: Ground, out: ZonePlan) -> bool:
        settings, now = ground.settings, ground.now
        if d.relation == "foreign" and d.balancer.desired.is_echo:
            return False
        if d.relation == "foreign" and not settings.adopt_existing:
            return self._ask(zone, d, "first-contact", ground, out)
        if d.relation != "drifted":
            self._note_adoption(zone, d, ground, out)
            return True
        self.rivals.note(d.key, d.before, now.mono)
        if settings.drift == "report":
            out.troubles.append(held.drift(d))
            return False
        if settings.drift == "hold":
            return self._ask(zone, d, "drift", ground, out)
        wait = self.rivals.wait_until(d.key, now.mono)
        if wait is None:
            return True
        out.troubles.append(held.rival(d.key))
        if now.mono < wait:
            out.due_mono = min(out.due_mono, wait)
        return now.mono >= wait

    def _unasked(
        self, zone: Zone, different: list[Difference], ground: Ground, out: ZonePlan
    ) -> list[Difference]:
        """What may be changed at one name without asking whether our configuration is meant."""
        parts = [(ground.precedence.part_of(d), d) for d in different]
        held_back = [(part, whole) for part, whole in parts if part is not whole]
        if held_back:
            out.held.append(held.by_configuration(zone.name, held_back, ground.operator))
        return [part for part, whole in parts if part is whole or part.is_one]

    def _ask(
        self, zone: Zone, d: Difference, kind: HeldKind, ground: Ground, out: ZonePlan
    ) -> bool:
        """Holds the change, unless a person approved exactly it; says whether it may go on."""
        question = held.unasked(zone.name, d, kind, ground.operator)
        if held.is_approved(ground.operator, question.id, ground.now):
            out.approvals[question.id] = (d.key, d.withdrawn)
            return True
        out.held.append(question)
        return False

    def _note_adoption(self, zone: Zone, d: Difference, ground: Ground, out: ZonePlan) -> None:
        """An approved first contact is ours as soon as that is durable, before it is written:
        what the approval allows, it still allows then, and the write consumes it."""
        if ground.operator.approvals:
            question = held.unasked(zone.name, d, "first-contact", ground.operator)
            if held.is_approved(ground.operator, question.id, ground.now):
                out.approvals[question.id] = (d.key, d.withdrawn)

    def _guard(
        self,
        work: Mapping[str, tuple[Zone, list[Balancer]]],
        different: Mapping[str, list[Difference]],
        plans: Mapping[str, ZonePlan],
        ground: Ground,
    ) -> Mapping[RRsetKey, frozenset[str]]:
        """Which addresses each RRset must keep. Nothing is charged for what cannot go out."""
        withdrawals: list[Withdrawal] = []
        kept: dict[RRsetKey, frozenset[str]] = {}
        for name, ds in different.items():
            for d in ds:
                exempt = self._exempt(work[name][0], d, ground, plans[name])
                if ground.no_withdrawals is not None:
                    kept[d.key] = d.withdrawn - exempt
                elif pause_on(ground.operator.pauses, name, d.balancer.lb.name) is None:
                    withdrawals.append(_withdrawal(d, exempt))
        if ground.settings.dry_run or ground.no_withdrawals is not None:
            return kept
        guard = ground.memory.guard
        judged = guard.judge(withdrawals, self._published, ground.settings.guard, ground.now)
        ground.memory.note_charges()
        for name, ds in different.items():
            for d in ds:
                episode = guard.episode(d.key)
                if d.key in judged and episode is not None:
                    plans[name].held.append(
                        held.beyond_budget(name, d, judged[d.key], episode, ground.operator)
                    )
        return judged

    def _exempt(self, zone: Zone, d: Difference, ground: Ground, out: ZonePlan) -> frozenset[str]:
        """Addresses that an operator took out, or whose withdrawal a person approved."""
        exempt = set(d.balancer.operator_out)
        for key, addresses in out.approvals.values():
            if key == d.key:
                exempt |= addresses
        episode = ground.memory.guard.episode(d.key)
        latched = frozenset(episode.addresses) & d.withdrawn - exempt if episode else frozenset()
        if episode and latched:
            id_ = held_id("withdrawal", zone.name, d.key, latched, episode.number)
            if held.is_approved(ground.operator, id_, ground.now):
                out.approvals[id_] = (d.key, latched)
                exempt |= latched
        return frozenset(exempt)

    def _emit(
        self,
        zone: Zone,
        different: Iterable[Difference],
        kept: Mapping[RRsetKey, frozenset[str]],
        ground: Ground,
        out: ZonePlan,
    ) -> None:
        standing = {d.key: bool(d.wanted) or bool(kept.get(d.key)) for d in different}
        for d in different:
            stays = kept.get(d.key, frozenset())
            other = RRsetKey(d.key.name, "A" if d.key.rtype == "AAAA" else "AAAA")
            others_live = standing.get(other, _shows_wanted(zone, other, d.balancer))
            change = to_change(d, stays, others_live)
            if ground.no_withdrawals is not None and stays:
                later = to_change(d, frozenset(), others_live)
                if later is not None:
                    out.waiting.append((later, ground.no_withdrawals))
            if change is None:
                if not (d.wanted or stays or others_live):
                    out.troubles.append(held.would_empty(d.key))
                continue
            pause = pause_on(ground.operator.pauses, zone.name, d.balancer.lb.name)
            if pause is not None:
                out.waiting.append((change, held.paused(pause)))
            else:
                out.changes.append(change)

    def _delete_released(self, zone: Zone, ground: Ground, out: ZonePlan) -> None:
        """Names that left the configuration and that a person asked to be deleted."""
        memory = ground.memory
        for name, approval in ground.operator.deletions.items():
            owned = {k: o for k, o in memory.owned.items() if k.name == name}
            if not owned or name in ground.settings.by_name:
                out.deleted_names.append(name)
                continue
            if name not in zone.names_read:
                continue
            pause = pause_on(ground.operator.pauses, zone.name, name)
            for key, mine in sorted(owned.items()):
                existing = zone.rrsets.get(key)
                if existing is None:
                    memory.remember(key, None)
                elif not is_as_left(existing, mine):
                    out.troubles.append(held.not_deleted(key, existing))
                else:
                    text = f"released and deleted by {approval.by}"
                    change = Change(key, existing, None, text, "release", text)
                    if pause is None:
                        out.changes.append(change)
                    else:
                        out.waiting.append((change, held.paused(pause)))

    def _count_published(self, zones: list[Zone], memory: Memory) -> None:
        """Addresses in DNS per name: the guard's denominator. A zone that was not read yet counts
        with what we last left there: a budget must not shrink to the zones that answer first."""
        revisions = [(zone.name, zone.revision) for zone in zones]
        unread = {zone.name for zone in zones if not zone.revision}
        if revisions == self._counted and not unread:
            return
        self._counted, self._published = revisions, {}
        for zone in zones:
            for key, rrset in zone.rrsets.items():
                self._add_published(key.name, len(rrset.values))
        if unread:
            for key, owned in memory.owned.items():
                if owned.zone in unread:
                    self._add_published(key.name, len(owned.values))

    def _add_published(self, name: str, count: int) -> None:
        self._published[name] = self._published.get(name, 0) + count


def _shows_wanted(zone: Zone, key: RRsetKey, balancer: Balancer) -> bool:
    """Whether an RRset that is left as it is has an address that is wanted there: somebody
    else's addresses are no reason to give up our own."""
    rrset = zone.rrsets.get(key)
    return rrset is not None and not set(rrset.values).isdisjoint(balancer.desired.addresses)


def _withdrawal(d: Difference, exempt: frozenset[str]) -> Withdrawal:
    return Withdrawal(
        lb=d.balancer.lb.name,
        key=d.key,
        addresses=d.withdrawn,
        exempt=exempt,
        keeps_living=bool(d.balancer.living),
        share=d.balancer.lb.policy.max_withdraw,
    )
