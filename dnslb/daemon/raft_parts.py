"""One member of a raft cluster in a daemon: the election's parts behind the raft address.

Not what they do (`dnslb.election.raft`, `raft_door`): this puts both together.
"""

from __future__ import annotations

import random
from dataclasses import replace

import trio

from dnslb import __version__
from dnslb.control.handlers import Handlers
from dnslb.daemon.config import Config
from dnslb.daemon.known_markers import KnownMarkers
from dnslb.daemon.raft_door import RaftDoor
from dnslb.daemon.registry import Election, Publication
from dnslb.election.raft.election import Place, RaftElection
from dnslb.election.raft.outlook import Self
from dnslb.election.raft.wire import dial_tcp
from dnslb.election.surroundings import Surroundings
from dnslb.metrics.counters import Counters
from dnslb.net.clock import Clock
from dnslb.ports.noticeboard import Noticeboard


async def _nothing() -> None:
    """A cluster needs no mark of a clean stop: its leases end by themselves."""
    await trio.lowlevel.checkpoint()


class RaftParts:
    """Raises `LocalError` when the member's directory cannot be used."""

    def __init__(
        self, config: Config, clock: Clock, counters: Counters, around: Surroundings
    ) -> None:
        raft = config.raft
        assert raft is not None
        self._notices: Noticeboard = around.notices
        self._taking_part = trio.CancelScope()
        self._new_epoch = raft.new_epoch
        self.door = RaftDoor(raft, config.instance_id, config.control_socket, counters)
        place = Place(
            me=Self(config.instance_id, str(raft.address), __version__),
            owner_id=config.owner_id or config.instance_id,
            directory=raft.directory,
            profile=raft.profile,
            bootstrap=raft.bootstrap and not config.dry_run,
            dry_run=config.dry_run,
        )
        self.member = RaftElection(
            place,
            around,
            clock,
            random.SystemRandom(),
            dial=self.door.secured(dial_tcp),
            prove=self.door.prove,
        )
        self.member.tell_digest(config.digest)
        if config.dry_run and config.instance_id in self.member.voters:
            self._notices.put(
                "warning",
                "dry-run-voter",
                config.instance_id,
                f"{config.instance_id} votes in its cluster, and as a dry run it takes no part: "
                "the others have one less to elect with",
                "start it without -dry-run; or try things with an instance that is no member",
            )

    def as_election(self) -> Election:
        return Election(
            store=self.member.store,
            elector=self.member.elector,
            cluster=self.member,
            record_clean_stop=_nothing,
            close=self.member.close,
            leave=self.member.elector.leave,
            confirm=self.member.elector.confirm,
            perform=self.member.perform,
            reload=self.reload,
            raft=self,
        )

    def guarded(self, publication: Publication) -> Publication:
        """With a fence that heeds what the cluster knows of markers."""
        if publication.fence is None:
            return publication
        fence = KnownMarkers(publication.fence, self.member, new_epoch=self._new_epoch)
        return replace(publication, fence=fence)

    def reload(self, config: Config) -> None:
        self.member.tell_digest(config.digest)

    async def run(
        self, handlers: Handlers, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serves the raft address and takes part, until it is shut and hung up, or cancelled."""
        async with trio.open_nursery() as serving:
            await serving.start(self.door.serve, handlers, self.member.accept)
            with self._taking_part:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.door.watch, self._notices)
                    await nursery.start(self.member.run)
                    task_status.started()

    def shut(self) -> None:
        """No connection any more, neither of members nor of people."""
        self.door.shut()
        self.member.hang_up()
        self._taking_part.cancel()
