"""Who holds the Lease, as anyone may see it, and why there is nothing to administer.

Implements `dnslb.ports.cluster.Cluster`. Instances know of each other only by what the Lease
says: who holds it. Whoever else stands for it does not show before it has won.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from dnslb.election.kubernetes_elector import Place
from dnslb.election.kubernetes_lease import LeaseContest
from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterCommand, ClusterReply, ClusterView, MemberView, Role
from dnslb.model.lease import Lease
from dnslb.net.clock import Clock

_MOVING = ("leadership_transfer", "leadership_transfer_to_server", "shutdown")


class KubernetesCluster:
    """``lease``: the one in force, asked at each view. ``takes_part``: False in a dry run."""

    def __init__(
        self,
        place: Place,
        version: str,
        contest: LeaseContest,
        clock: Clock,
        lease: Callable[[], Lease | None],
        *,
        takes_part: bool,
    ) -> None:
        self._place = place
        self._version = version
        self._contest = contest
        self._clock = clock
        self._lease = lease
        self._takes_part = takes_part

    async def execute(self, command: ClusterCommand) -> ClusterReply:
        await trio.lowlevel.checkpoint()
        place = self._place
        sentence = (
            f"{command.name} needs -election raft; this instance runs with -election k8s, where "
            f"the Lease {place.subject} says who may write and there are no members to administer"
        )
        if command.name in _MOVING:
            sentence += (
                "; whoever holds it gives it to another instance by ending: kubectl delete pod "
                f"{self.leader_name() or 'POD'} -n {place.namespace}"
            )
        raise CommandRefused(sentence)

    def leader_name(self) -> str:
        """The instance id of whoever holds the Lease; "" where nobody is known to."""
        if self._lease() is not None:
            return self._place.instance_id
        leader = self._contest.leader(self._clock.now().boot)
        return "" if leader == self._place.identity else name_of(leader)

    def view(self) -> ClusterView:
        place, contest, leader = self._place, self._contest, self.leader_name()
        role = self._role(leader)
        me = MemberView(place.instance_id, "", "voter", role, True, self._version)
        members = [me]
        if leader and role != "leader":
            heard_s = self._clock.now().boot - contest.changed_at
            holder = MemberView(leader, "", "voter", "leader", False, "", last_contact_s=heard_s)
            # One whose Lease has run out is no holder any more.
            members.append(replace(holder, reached=True))
        term = None if contest.record is None else contest.record.transitions
        return ClusterView(role, term, (leader, "") if leader else None, tuple(members))

    def _role(self, leader: str) -> Role:
        if self._lease() is not None:
            return "leader"
        if not self._takes_part or not self._contest.is_standing:
            return "standby"
        return "follower" if leader else "candidate"


def name_of(identity: str) -> str:
    """The instance, or the host of a Go program, in a holderIdentity."""
    name, _, nonce = identity.rpartition("_")
    return name or nonce
