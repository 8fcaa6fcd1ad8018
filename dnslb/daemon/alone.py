"""The members of an installation that stands alone: this instance, and nobody to add.

Implements `dnslb.ports.cluster.Cluster` where there is no raft.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterCommand, ClusterReply, ClusterView, MemberView, Role
from dnslb.model.lease import Lease


class Alone:
    """``lease``: the one in force, asked at each view."""

    def __init__(
        self, instance_id: str, version: str, election: str, lease: Callable[[], Lease | None]
    ) -> None:
        self._instance_id = instance_id
        self._version = version
        self._election = election
        self._lease = lease

    async def execute(self, command: ClusterCommand) -> ClusterReply:
        await trio.lowlevel.checkpoint()
        raise CommandRefused(
            f"{command.name} needs -election raft; this instance runs with -election "
            f"{self._election}, so there are no members to administer"
        )

    def view(self) -> ClusterView:
        lease = self._lease()
        role: Role = "standby" if lease is None else "leader"
        leader = None if lease is None else (self._instance_id, "")
        member = MemberView(
            id=self._instance_id,
            address="",
            suffrage="voter",
            role=role,
            is_self=True,
            version=self._version,
        )
        return ClusterView(role, None if lease is None else lease.term, leader, (member,))
