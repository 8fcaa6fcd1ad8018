"""The members, and commands to them."""

from __future__ import annotations

from typing import Protocol

from dnslb.model.cluster import ClusterCommand, ClusterReply, ClusterView


class Cluster(Protocol):
    async def execute(self, command: ClusterCommand) -> ClusterReply:
        """Carries a command out; raises `CommandRefused` with a sentence that says why not."""

    def view(self) -> ClusterView: ...
