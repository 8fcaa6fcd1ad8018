"""What an operator asks of a leader: members come and go in stages, the lead is handed on.

Not the words of raftadmin, nor where a command is carried out; whoever knows those calls this.
Every refusal is a `CommandRefused` with the sentence that says why; nothing was changed then.

Law: no command leaves a cluster that could not elect. A newcomer gets a vote only once it has the
log; if it does not get so far, it is as if it had never been asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

import trio

from dnslb.election.raft.ground import Finished
from dnslb.election.raft.membership import Configuration, Member, Suffrage, majority
from dnslb.election.raft.node import RaftNode
from dnslb.errors import CommandRefused, InvalidValue
from dnslb.net.clock import Clock

POLL_S = 0.02
ROLL_BACK_S = 5.0


def why_not_electable(voters: Collection[str], living: Collection[str]) -> str | None:
    """The arithmetic that refuses a configuration with these voters; None when those of them
    that live could elect one."""
    needed = majority(len(voters))
    there = sorted(set(voters) & set(living))
    if len(there) >= needed:
        return None
    return (
        f"{len(voters)} voters would be left, {needed} of them decide, and {len(there)} "
        f"can be reached now ({', '.join(there) or 'none'}): start the others first, or remove "
        "those first that are gone for good."
    )


class Administration:
    """One command at a time; a second one waits for the first."""

    def __init__(self, node: RaftNode, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._turn = trio.Lock()

    # -------------------------------------------------------------------------------- members

    async def add(
        self,
        member_id: str,
        address: str,
        suffrage: Suffrage,
        *,
        previous_index: int = 0,
        timeout_s: float = 30.0,
    ) -> int:
        """Reachable, really that id, of this cluster or none → without a vote → caught up →
        voter. Returns the index of the configuration, the present one when it is so already."""
        async with self._turn:
            self._check_index(previous_index)
            before = self._configuration.find(member_id)
            wanted = await self._probed(member_id, address, suffrage)
            if before == wanted:
                return self._node.member.journal.configuration_index
            if before is not None and before.incarnation != wanted.incarnation:
                raise CommandRefused(
                    f"{member_id} has another directory than the member of that name: "
                    f"remove_server {member_id} first, then add it."
                )
            if suffrage == "nonvoter" or (before is not None and before.suffrage == "voter"):
                return await self._change(self._configuration.with_member(wanted))
            return await self._promote(before, wanted, timeout_s)

    async def _probed(self, member_id: str, address: str, suffrage: Suffrage) -> Member:
        """The entry for whoever answers there, if it may belong to this cluster."""
        us = self._node.identity()
        if member_id == us.id:
            own = self._configuration.find(member_id)
            if own is None or (own.address, own.suffrage) != (address, suffrage):
                raise CommandRefused(f"{member_id} leads: transfer the leadership first.")
            return own
        taken = [one.id for one in self._configuration.members if one.address == address]
        if taken and taken != [member_id]:
            raise CommandRefused(f"{address} is the address of {taken[0]}.")
        hello = await self._node.wire.probe(member_id, address)
        if hello.cluster_id not in ("", us.cluster_id):
            raise CommandRefused(
                f"{member_id} belongs to cluster {hello.cluster_id}, this is {us.cluster_id}: "
                "move its directory away first, if it is to belong here."
            )
        try:
            return Member(member_id, address, suffrage, hello.incarnation)
        except InvalidValue as e:
            raise CommandRefused(f"{e}.") from e

    async def _promote(self, before: Member | None, voter: Member, timeout_s: float) -> int:
        failure = f"{voter.id} did not catch up within {timeout_s:g} s."
        silent = replace(voter, suffrage="nonvoter")
        try:
            with trio.move_on_after(timeout_s):
                if before != silent:
                    await self._change(self._configuration.with_member(silent))
                await self._until(lambda: self._caught_up(voter.id))
                return await self._change(self._configuration.with_member(voter))
        except CommandRefused as e:
            failure = str(e)
        await self._roll_back(before, voter.id, failure)
        raise CommandRefused(f"{failure} The members are as before.")

    async def _roll_back(self, before: Member | None, member_id: str, failure: str) -> None:
        """Raises `CommandRefused` when that cannot be seen to be done either."""
        old = self._configuration
        undone = old.without(member_id) if before is None else old.with_member(before)
        with trio.move_on_after(ROLL_BACK_S):
            if undone != old:
                await self._change(undone)
            return
        raise CommandRefused(
            f"{failure} Taking {member_id} out again is not committed yet: see get_configuration."
        )

    def _caught_up(self, member_id: str) -> bool:
        """It answers, and has all that is committed."""
        member = self._node.member
        return member_id in self._living() and member.match_of(member_id) >= member.commit > 0

    async def demote(self, member_id: str, *, previous_index: int = 0) -> int:
        """Takes its vote; it goes on receiving the log."""
        async with self._turn:
            self._check_index(previous_index)
            before = self._found(member_id)
            if before.suffrage == "nonvoter":
                return self._node.member.journal.configuration_index
            demoted = replace(before, suffrage="nonvoter")
            return await self._shrink(self._configuration.with_member(demoted))

    async def remove(self, member_id: str, *, previous_index: int = 0) -> int:
        """It belongs to the cluster no more."""
        async with self._turn:
            self._check_index(previous_index)
            self._found(member_id)
            if self._configuration.voters == {member_id}:
                raise CommandRefused(f"{member_id} is the only voter.")
            return await self._shrink(self._configuration.without(member_id))

    async def _shrink(self, new: Configuration) -> int:
        """Refused when those who are left could not elect; they are asked beforehand."""
        self._refuse_unless_leading()
        await self._node.verify(2 * self._node.member.settings.timings.heartbeat_s)
        refusal = why_not_electable(new.voters, self._living())
        if refusal is not None:
            raise CommandRefused(refusal)
        return await self._change(new)

    # ------------------------------------------------------------------------------- the lead

    async def transfer(
        self,
        target: str | None,
        *,
        when_idle: Callable[[], Awaitable[None]],
        timeout_s: float = 5.0,
    ) -> tuple[str, int]:
        """The id of the new leader, and its term. ``when_idle`` is awaited before the lease
        is given up: it returns once no write is past the gate and none begins. The log takes no
        proposals meanwhile."""
        async with self._turn:
            member = self._node.member
            self._refuse_unless_leading()
            if target == member.id:
                return member.id, member.term
            term = member.term
            member.freeze("The leadership is being handed over; ask again.")
            try:
                with trio.move_on_after(timeout_s):
                    await self._until(lambda: self._heir_ready(target))
                    await when_idle()
                    self._node.transfer(target)
                    await self._until(lambda: member.term > term and member.leader is not None)
                    assert member.leader is not None
                    return member.leader, member.term
            finally:
                member.freeze(None)
            raise CommandRefused(
                f"{target or 'No other voter'} did not take over within {timeout_s:g} s."
            )

    def _heir_ready(self, target: str | None) -> bool:
        member = self._node.member
        self._refuse_unless_leading()
        others = self._configuration.voters - {member.id}
        if target is not None and target not in others:
            raise CommandRefused(f"{target} is no other voter.")
        heirs = (others if target is None else {target}) & self._living()
        return any(member.match_of(heir) == member.journal.last for heir in heirs)

    # ---------------------------------------------------------------------------------- parts

    @property
    def _configuration(self) -> Configuration:
        return self._node.member.configuration

    def _found(self, member_id: str) -> Member:
        found = self._configuration.find(member_id)
        if found is None:
            raise CommandRefused(f"{member_id} is not a member.")
        return found

    def _refuse_unless_leading(self) -> None:
        member = self._node.member
        if member.role != "leader":
            where = f"; {member.leader} does" if member.leader else ""
            raise CommandRefused(f"{member.id} does not lead{where}.")

    def _check_index(self, previous_index: int) -> None:
        self._refuse_unless_leading()
        now = self._node.member.journal.configuration_index
        if previous_index not in (0, now):
            raise CommandRefused(
                f"The configuration is that of index {now}, not {previous_index}: look again."
            )

    def _living(self) -> frozenset[str]:
        """Who answered within the shortest election timeout, and this leader."""
        member = self._node.member
        since = self._clock.now().mono - member.settings.timings.election_s_min
        ids = (one.id for one in self._configuration.members)
        heard = (one for one in ids if (member.heard_at(one) or since - 1) >= since)
        return frozenset({member.id, *heard})

    async def _change(self, new: Configuration) -> int:
        finished: Finished = await self._node.change(new)
        if finished.outcome != "applied":
            raise CommandRefused(
                "The leadership was lost meanwhile; see get_configuration for what came of it."
            )
        return finished.index

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 (several sources, and rarely asked)
            await trio.sleep(POLL_S)
