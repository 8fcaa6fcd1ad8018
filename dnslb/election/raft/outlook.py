"""What a member makes public of its cluster: the view of the members, events, and what needs a
person.

Decides nothing. Looks after every event for what is told at once, and every second for what is
told once it lasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import trio

from dnslb.election.raft.admin import Administration
from dnslb.election.raft.asides import NEEDS_MAX, Aside, Facts, Need, Needs
from dnslb.election.raft.contact import Contacts
from dnslb.election.raft.frames import Rebuff
from dnslb.election.raft.membership import Member, majority
from dnslb.election.raft.node import RaftNode
from dnslb.election.raft.parting import Parting
from dnslb.election.surroundings import Note
from dnslb.model.cluster import ClusterView, MemberView, Role, Suffrage
from dnslb.model.status import Attention, Severity
from dnslb.net.clock import Clock
from dnslb.ports.noticeboard import Noticeboard

LOOK_S = 1.0
LEADERLESS_S = 5.0
SILENT_S = 10.0
REFUSED_S = 15.0
WAITING, LEADERLESS, SILENT, REFUSED, DIGEST, ADDRESS, REMOVED = (
    *("raft-waiting", "raft-no-leader", "raft-silent", "raft-refused"),
    *("config-differs", "raft-address", "raft-removed"),
)
_Rows = dict[tuple[str, str], tuple[Severity, str, str]]
"""By kind and subject: severity, sentence, next step."""


@dataclass(frozen=True, slots=True)
class Self:
    """What this member says about itself. ``address``: as configured."""

    id: str
    address: str
    version: str


class Outlook:
    """``digest`` of our own configuration may change with a reload. ``needs``: our attention
    list, which the other members show, too, while this one leads. ``dry_run``: this member takes no
    part, so it knows nothing of the others but that they are members."""

    def __init__(
        self,
        me: Self,
        node: RaftNode,
        admin: Administration,
        clock: Clock,
        note: Note,
        send: Callable[[str, Aside], None],
        parting: Parting,
        *,
        dry_run: bool = False,
    ) -> None:
        self._dry_run = dry_run
        self._parting = parting
        self._me = me
        self._node = node
        self._admin = admin
        self._clock = clock
        self._note = note
        self._send = send
        self.contacts = Contacts(node, clock, send)
        self._needs: tuple[str, Needs] = ("", Needs(()))
        self._sent: dict[str, tuple[Attention, ...]] = {}
        self.needs: Sequence[Attention] = ()
        self._facts: dict[str, Facts] = {}
        self._refusals: dict[str, tuple[float, Rebuff]] = {}
        self._told: tuple[Role, int, str | None] | None = None
        self._told_leader = (0, "")
        self._led_at = clock.now().mono
        self._led_since = clock.now().mono
        self._shown: dict[str, set[str]] = {}
        self.digest = ""

    # ------------------------------------------------------------------------- what was heard

    def hear(self, peer: str, facts: Facts) -> None:
        self._facts[peer] = facts

    def hear_needs(self, peer: str, needs: Needs) -> None:
        """What ``peer`` sees a person is needed for."""
        self._needs = (peer, needs)

    def _tell_needs(self) -> None:
        """To all others what is new; the newest is all that counts."""
        if self._node.member.role != "leader":
            self._sent = {}
            return
        wall, peers = self._clock.now().wall, self._node.wire.peers
        rows = tuple(row for row in self.needs if row.severity != "info")[:NEEDS_MAX]
        self._sent = {peer: sent for peer, sent in self._sent.items() if peer in peers}
        for peer in peers:
            if self._sent.get(peer) != rows:
                self._sent[peer] = rows
                self._send(peer, Needs(tuple(_need(row, wall) for row in rows)))

    def refused(self, peer: str, rebuff: Rebuff) -> None:
        """A stream to or from a peer that came to nothing. That nobody answers says less than what
        somebody said a moment ago."""
        now = self._clock.now().mono
        at, before = self._refusals.get(peer, (-math.inf, rebuff))
        if before.spoken and not rebuff.spoken and now - at <= REFUSED_S:
            return
        if len(self._refusals) < 64 or peer in self._refusals:
            self._refusals[peer] = (now, rebuff)

    def connected(self, peer: str) -> None:
        """What it said over an older stream may not be so any more."""
        self._refusals.pop(peer, None)
        self._facts.pop(peer, None)

    def agreed(self, voters: Collection[str]) -> str:
        """The digest of our configuration, where all voters said that they have the same, over
        streams that are open; else ""."""
        if self._me.id not in voters:
            return ""
        peers = self._node.wire.peers
        for one in voters:
            facts = self._facts.get(one) if one in peers else None
            if one != self._me.id and (facts is None or facts.digest != self.digest):
                return ""
        return self.digest

    # ------------------------------------------------------------------------------- the view

    def view(self) -> ClusterView:
        member = self._node.member
        configuration = member.configuration
        taken_out = self._parting.sentence is not None
        known = None if taken_out else member.leader
        leader = configuration.find(known) if known is not None else None
        role: Role = "removed" if taken_out else member.role
        if self._dry_run:
            role = "dry-run"
        views = [self._member_view(one, role) for one in configuration.members]
        if configuration.find(member.id) is None:
            us = self._me
            views.append(
                MemberView(us.id, us.address, "nonvoter", role, True, us.version, self.digest)
            )
        return ClusterView(
            role=role,
            term=member.term,
            leader=None if leader is None else (leader.id, leader.address),
            members=tuple(views),
            cluster_id=configuration.cluster_id or None,
        )

    def _member_view(self, one: Member, ours: Role) -> MemberView:
        """``ours``: this member's own role."""
        member = self._node.member
        is_self = one.id == member.id
        facts = self._facts.get(one.id, Facts("", ""))
        if is_self:
            facts = Facts(self._me.version, self.digest)
        suffrage: Suffrage = one.suffrage
        if suffrage == "nonvoter" and one.id in self._admin.staged:
            suffrage = "staging"
        contact = self.contacts.of(one.id)
        role: Role = "leader" if one.id == member.leader else "follower"
        return MemberView(
            id=one.id,
            address=one.address,
            suffrage=suffrage,
            role=ours if is_self else role,
            is_self=is_self,
            version=facts.version,
            config_digest=facts.digest,
            last_contact_s=contact.heard_s,
            match_index=contact.match,
            lag=contact.lag,
            reached=None if self._dry_run and not is_self else contact.reached,
        )

    # -------------------------------------------------------------------------------- events

    def look(self) -> None:
        """After every event: who leads now."""
        member = self._node.member
        known = (member.role, member.term, member.leader)
        if known == self._told:
            return
        before, self._told = self._told, known
        role, term, leader = known
        if before is not None and before[2] is not None and leader is None:
            self._led_at = self._clock.now().mono
        if before is not None and before[0] == "leader" and role != "leader":
            self._note("election", f"{member.id}, this one, leads no more", term=term)
        if before is not None and before[0] == "waiting" and role != "waiting":
            cluster = member.configuration.cluster_id
            self._note("membership", f"{member.id}, this one, belongs to the cluster {cluster}")
        if leader is not None and (term, leader) != self._told_leader:
            self._told_leader = (term, leader)
            self._led_since = self._clock.now().mono
            us = ", this one," if role == "leader" else ""
            self._note("election", f"{leader}{us} leads now (term {term})", term=term)

    # ----------------------------------------------------------------------- what needs a person

    async def run(self, notices: Noticeboard) -> None:
        while True:
            self._tell_needs()
            self.contacts.tell()
            self._tell(notices)
            await trio.sleep(LOOK_S)

    def _tell(self, notices: Noticeboard) -> None:
        member, now = self._node.member, self._clock.now().mono
        me, rows = self._me, _Rows()
        if member.role == "waiting":
            sentence = f"{me.id} waits to be added to a cluster; it votes for nobody until then"
            step = f"at a member: dnslbctl raft add_voter {me.id} {me.address} 0"
            rows[WAITING, me.id] = ("info", sentence, step)
        elif (taken_out := self._parting.sentence) is not None:
            step = (
                "stop it and move its directory away; or, at a member, to take it in again: "
                f"dnslbctl raft add_voter {me.id} {me.address} 0"
            )
            rows[REMOVED, me.id] = ("warning", taken_out, step)
        elif member.leader is None and now - self._led_at > LEADERLESS_S:
            step = (
                f"look at the others: where they name a leader, repair the network from {me.id} to "
                "it; else start the members that are down, or repair the network between them"
            )
            rows[LEADERLESS, me.id] = ("critical", self._leaderless(), step)
        if (REMOVED, me.id) not in rows:
            self._tell_members(rows, now)
        leader, needs = self._needs
        if member.role != "leader" and leader == member.leader:
            for need in needs.rows:
                row = (need.severity, need.sentence, need.next)
                rows.setdefault((need.kind, need.subject), row)
        ours = member.configuration.find(me.id)
        if ours is not None and ours.address != me.address:
            rows[ADDRESS, me.id] = (
                "warning",
                f"-raft-address is {me.address}, the cluster knows {me.id} at {ours.address}",
                f"dnslbctl raft add_voter {me.id} {me.address} 0",
            )
        for kind in {*self._shown, *(kind for kind, _ in rows)}:
            current = {subject for row, subject in rows if row == kind}
            for subject in self._shown.get(kind, set()) - current:
                notices.clear(kind, subject)
            self._shown[kind] = current
        for (kind, subject), (severity, sentence, step) in rows.items():
            notices.put(severity, kind, subject, sentence, step)

    def _tell_members(self, rows: _Rows, now: float) -> None:
        member = self._node.member
        self._refusals = {
            peer: known for peer, known in self._refusals.items() if now - known[0] <= REFUSED_S
        }
        for one in member.configuration.members:
            if one.id == self._me.id:
                continue
            facts = self._facts.get(one.id)
            if (
                facts is not None
                and facts.digest != self.digest
                and one.id in self._node.wire.peers
            ):
                rows[DIGEST, one.id] = (
                    "warning",
                    f"{one.id} has other load balancers, agents or guard than {self._me.id}",
                    "give both the same configuration, then reload them",
                )
            _, rebuff = self._refusals.get(one.id, (0.0, Rebuff("it is not known why", False)))
            heard_at = member.heard_at(one.id) if member.role == "leader" else now
            since = max(self._led_since, -math.inf if heard_at is None else heard_at)
            if not rebuff.spoken and now - since > SILENT_S:
                why = rebuff.sentence.removeprefix(f"{one.id} at ")
                rows[SILENT, one.id] = (
                    "warning",
                    f"{one.id} at {one.address} does not answer the leader: {why}",
                    "see whether it runs; dnslbctl raft remove_server takes it away for good",
                )
        for peer, (_, rebuff) in self._refusals.items():
            if (SILENT, peer) not in rows and peer not in self._node.wire.peers:
                step = "do what the sentence says, or stop who has no business here"
                lost = rebuff.spoken and member.configuration.find(peer) is not None
                rows[REFUSED, peer] = ("warning" if lost else "info", rebuff.sentence, step)

    def _leaderless(self) -> str:
        voters = self._node.member.configuration.voters
        here = (self._node.wire.peers | {self._me.id}) & voters
        return (
            f"no leader has been known to {self._me.id} for {LEADERLESS_S:g} s: it writes nothing, "
            "and unless the others have a leader nobody does, and DNS stays as it is; "
            f"{len(here)} of {len(voters)} voters are connected, "
            f"{majority(len(voters))} are needed"
        )


def _need(row: Attention, wall: float) -> Need:
    """Cut to what a row may be."""
    return Need(
        row.severity,
        row.kind[:300],
        row.subject[:300],
        max(0.0, wall - row.since_wall),
        row.sentence[:4000],
        row.next[:4000],
    )
