"""From plans to intents: which zone may be written now, what must be durable first, what came back.

Sends (as `Apply`) only what the planner let through, what is durable and what no gate forbids.
The lease is asked once more, at the very end, by the zone worker: here it only saves work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dnslb.decide import held, reason
from dnslb.decide.backoff import GATED_WAIT_S
from dnslb.decide.balancer import Balancer
from dnslb.decide.diff import differences
from dnslb.decide.gate import Gate
from dnslb.decide.intents import Apply, Intent, Recall
from dnslb.decide.journal import Journal
from dnslb.decide.ledger import Ledger
from dnslb.decide.ownership import earlier_than, is_as_left
from dnslb.decide.planner import Ground, Planner, ZonePlan
from dnslb.decide.precedent import Precedence
from dnslb.decide.publication import Publication
from dnslb.decide.settings import Settings
from dnslb.decide.store import Store
from dnslb.decide.zone import Zone
from dnslb.decide.zones import Zones
from dnslb.errors import PlanRefused
from dnslb.model.checkpoint import Owned
from dnslb.model.instant import Now
from dnslb.model.lease import Lease
from dnslb.model.outcome import Failure, WriteOutcome
from dnslb.model.plan import Change, Plan
from dnslb.model.publication import Sighting
from dnslb.model.rrset import RRsetKey


class Writer:
    """Rounds of planning over the zones that have something to look at."""

    def __init__(self, zones: Zones, store: Store, journal: Journal) -> None:
        self._zones = zones
        self._store = store
        self._planner = Planner()
        self.ledger = Ledger()
        self.plans: dict[str, ZonePlan] = {}
        self.due_mono: float | None = None
        self._unsettled: dict[str, set[str]] = {}
        self._approvals: dict[str, dict[str, tuple[RRsetKey, frozenset[str]]]] = {}
        self._held_logged: set[str] = set()
        self._journal = journal
        self.publication = Publication(journal)
        self.precedence = Precedence()
        self._ttl_min = 1

    def configure(self, settings: Settings, *, leads: bool) -> None:
        """Held withdrawals of names that left the configuration are over."""
        self.precedence.configure(settings, leads=leads)
        self._ttl_min = settings.capabilities.ttl_min
        self.publication.configure(settings)
        guard = self._store.memory.guard
        for key, episode in list(guard.episodes.items()):
            if key.name not in settings.by_name:
                guard.release(key, set(episode.addresses))
        for names in self._unsettled.values():
            names.intersection_update(settings.by_name)

    def lay_down(self) -> None:
        """The right to write is gone."""
        self.precedence.lay_down()
        self.forget(list(self.plans))

    def forget(self, zones: Collection[str]) -> None:
        """Nothing is open any more in these zones: not ours to write, or not ours at all."""
        for zone in zones:
            self.plans.pop(zone, None)
            self._unsettled.pop(zone, None)
        self.ledger.forget_zones(zones)

    def is_settled(self, balancer: Balancer) -> bool:
        """Whether DNS is as wanted there, known as ours, with nothing held: then a round has
        nothing to find. Asked as each load balancer is evaluated, so that rounds stay short."""
        name = balancer.lb.name
        zone = self._zones.by_name.get(self._zones.of_owner.get(name, ""))
        if zone is None or balancer.frozen is not None or not self._zones.is_readable(zone):
            return False
        if zone.write_trouble is not None or zone.quarantine.trouble is not None:
            return False
        if name in self._unsettled.get(zone.name, ()) or name in zone.cnames:
            return False
        if name not in zone.names_read:
            return False
        memory = self._store.memory
        different, equal = differences(balancer, zone, memory.owned, self._ttl_min)
        return not different and all(
            memory.guard.episode(key) is None
            and (rrset := zone.rrsets.get(key)) is not None
            and memory.owned.get(key) == Owned(zone.name, rrset.ttl, rrset.values)
            for key in equal
        )

    def round(
        self,
        dirty: set[str],
        balancers: Mapping[str, Balancer],
        lease: Lease | None,
        gate: Gate,
        settings: Settings,
        now: Now,
    ) -> list[Intent]:
        """Plans anew what changed or is still open, and returns what is to be done now."""
        if gone := self.plans.keys() - self._zones.by_name.keys():
            self.forget(gone)
        work = self._work(dirty, balancers)
        waited = self.precedence.due
        self.precedence.look(self._store.precedent, storable=self._store.can_put_in_force(now))
        if waited is not None and waited == self._store.precedent and lease is not None:
            text = f"DNS follows the configuration of {lease.holder} from now on"
            self._journal.log("configuration", text, now, digest=waited.digest)
        ground = Ground(
            self._store.memory,
            self._store.operator,
            settings,
            self.precedence,
            gate.no_withdrawals,
            now,
        )
        plans = self._planner.plan(work, self._zones.by_name.values(), ground)
        self.plans.update(plans)
        self.due_mono = min((p.due_mono for p in self.plans.values()), default=None)
        ready: list[tuple[Zone, ZonePlan, list[Change]]] = []
        intents: list[Intent] = []
        for name, plan in plans.items():
            zone = self._zones.by_name[name]
            unread = self._unsettled.get(name, set()) - zone.names_read
            self._unsettled[name] = plan.open | unread & self._zones.names_in(name)
            zone.blocked = self._blocked(zone, lease, gate, settings, now)
            self.ledger.take_round(name, plan, zone.blocked, now)
            self._store.settle(names=plan.deleted_names)
            if not (plan.changes or plan.waiting):
                zone.nothing_to_write()
                if zone.outstanding:
                    intents.append(Recall(name))
            if zone.blocked is None and (changes := zone.quarantine.select(plan.changes, now)):
                ready.append((zone, plan, changes))
        self.ledger.prune()
        self._log_held(now)
        if lease is None:
            return []
        if (due := self.precedence.due) is not None:
            # Whoever takes over must know by what the next write was decided.
            commit = self._store.propose_precedent(due, now)
            return intents if commit is None else [*intents, commit]
        for zone, _, changes in ready:
            self._intend(zone, changes)
        if commit := self._store.propose_record(balancers.values(), now):
            intents.append(commit)
        for zone, plan, changes in ready:
            intents += self._send(zone, plan, changes, balancers, lease, now)
        return intents

    def _work(
        self, dirty: set[str], balancers: Mapping[str, Balancer]
    ) -> dict[str, tuple[Zone, list[Balancer]]]:
        for name in dirty:
            zone_name = self._zones.of_owner.get(name)
            if zone_name is not None:
                self._unsettled.setdefault(zone_name, set()).add(name)
        deleting = {self._zones.of_owner.get(n) for n in self._store.operator.deletions}
        work = {}
        for name, zone in self._zones.by_name.items():
            names = self._unsettled.get(name, set())
            if (names or name in deleting or self._is_open(name)) and self._zones.is_readable(zone):
                here = self._zones.names_in(name) & zone.names_read
                seen = [n for n in sorted(names) if n in balancers and n in here]
                work[name] = (zone, [balancers[n] for n in seen])
        return work

    def _is_open(self, zone: str) -> bool:
        plan = self.plans.get(zone)
        return plan is not None and bool(plan.changes or plan.waiting or plan.held or plan.troubles)

    def _blocked(
        self, zone: Zone, lease: Lease | None, gate: Gate, settings: Settings, now: Now
    ) -> str | None:
        """Why nothing of this zone is sent now, or None."""
        if settings.dry_run:
            return "dry run: nothing is written"
        if lease is None or not lease.holds(now.boot):
            return "this instance does not hold the right to write"
        if gate.closed is not None:
            return gate.closed
        if settings.capabilities.marked and zone.fence != lease.token:
            return "the marker of the zone does not hold this instance's token yet"
        if len(zone.outstanding) > 1:
            return "a write is under way"
        if zone.outstanding:
            return None
        if now.mono < zone.not_before_mono:
            return "waiting before the next try"
        if now.mono < zone.written_mono + settings.upload_interval_s:
            return "waiting out zone-sync-interval-upload"
        return None

    def _intend(self, zone: Zone, changes: list[Change]) -> None:
        """What we are about to write becomes part of what must be durable first."""
        memory = self._store.memory
        for change in changes:
            known = memory.owned.get(change.key)
            values = change.before.values if change.before else ()
            ttl = change.before.ttl if change.before else change.after.ttl if change.after else 0
            if known is not None:
                # Somebody else's edit does not become ours by our wish to undo it.
                values = known.values if change.cause == "drift" else values
                ttl = known.ttl
            intended = change.after.values if change.after else ()
            earlier = () if known is None else earlier_than(intended, values, known)
            memory.remember(change.key, Owned(zone.name, ttl, values, intended, earlier))
        zone.needs_version = memory.version

    def _send(
        self,
        zone: Zone,
        plan: ZonePlan,
        changes: list[Change],
        balancers: Mapping[str, Balancer],
        lease: Lease,
        now: Now,
    ) -> list[Intent]:
        if self._store.memory.committed < zone.needs_version:
            return []
        outgoing = Plan(zone.name, tuple(changes), lease.term, zone.basis)
        if outgoing.id in zone.outstanding:
            return []
        owned = {name for name in self._zones.names_in(zone.name) if name in balancers}
        owned |= self._store.operator.deletions.keys()
        try:
            outgoing.check(owned)
        except PlanRefused as e:
            trouble = held.Trouble("plan-refused", zone.name, str(e), "report this as a defect")
            plan.troubles.append(trouble)
            return []
        zone.outstanding[outgoing.id] = outgoing
        zone.written_mono = now.mono
        self._approvals[outgoing.id] = dict(plan.approvals)
        self.ledger.sent(outgoing, now)
        return [Apply(outgoing)]

    def take_outcome(self, outcome: WriteOutcome, now: Now) -> None:
        """What became of a plan: the zone's new state, or when to try again."""
        plan, result = outcome.plan, outcome.result
        approvals = self._approvals.pop(plan.id, {})
        zone = self._zones.by_name.get(plan.zone)
        if zone is not None:
            zone.outstanding.pop(plan.id, None)
        if isinstance(result, Failure):
            if result.kind == "gated":
                self.ledger.superseded(plan)
                if zone is not None:
                    zone.not_before_mono = max(zone.not_before_mono, now.mono + GATED_WAIT_S)
                return
            self.ledger.failed(plan, result)
            if zone is not None and result.kind in ("unknown", "temporary"):
                left = {c.key: c.after.values if c.after else () for c in plan.changes}
                zone.unsure.update(left)
            if zone is not None and result.kind == "refused":
                zone.take_refusal(plan, result, now)
            elif zone is not None:
                zone.take_write_failure(result, now)
            return
        if zone is not None:
            zone.take_receipt(plan, result, now)
            self.publication.expect(plan, zone, now)
        self.ledger.applied(plan, now)
        memory = self._store.memory
        under_way = set() if zone is None else zone.keys_under_way()
        for change in plan.changes:
            after, known = change.after, memory.owned.get(change.key)
            owned = Owned(plan.zone, after.ttl, after.values) if after else None
            if change.key in under_way and known is not None:
                # A later write of it is on its way: whoever takes over must know that one, too.
                ttl, values = (after.ttl, after.values) if after else (known.ttl, ())
                earlier = earlier_than(known.intended, values, known)
                owned = Owned(plan.zone, ttl, values, known.intended, earlier)
            memory.remember(change.key, owned)
        changed = {change.key for change in plan.changes}
        for id_, (key, addresses) in approvals.items():
            if key in changed:
                memory.guard.release(key, addresses)
                self._store.settle(held_ids=[id_])

    def recognize(self, zone: Zone) -> None:
        """After a reading: what a write left whose end is not known is ours, also when a later
        plan for the same RRset has another intention by now."""
        memory = self._store.memory
        for key in zone.unsure.keys() - zone.keys_under_way():
            left, existing = zone.unsure.pop(key), zone.rrsets.get(key)
            known = memory.owned.get(key)
            if known is None or is_as_left(existing, known):
                continue
            if left == (existing.values if existing else ()):
                ttl = existing.ttl if existing else known.ttl
                memory.remember(key, Owned(zone.name, ttl, left))

    def verify(self, leads: bool, now: Now) -> list[Intent]:
        """What the verifier is to be told."""
        owned = self._store.memory.owned
        return self.publication.review(self._zones.by_name, owned, leads, now)

    def take_sighting(self, sighting: Sighting, now: Now) -> None:
        """What the servers of a zone answer."""
        zone = self._zones.by_name.get(sighting.zone)
        self.ledger.published(self.publication.take(sighting, zone, now), now)

    def _log_held(self, now: Now) -> None:
        """Each held change is told once in the event log."""
        current = self.ledger.held
        for id_ in sorted(current.keys() - self._held_logged):
            change = current[id_]
            text = f"held {id_}: {change.sentence}"
            addresses = reason.listed(sorted(change.addresses))
            self._journal.log("held", text, now, id=id_, addresses=addresses)
        self._held_logged = set(current)
