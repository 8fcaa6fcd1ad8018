"""What an operator asks of a leader: members come and go in stages.

Not the words of raftadmin, nor where a command is carried out (`commands`); nor how the lead is
handed on (`elector`).
Every refusal is a `CommandRefused` with the sentence that says why; nothing was changed then.

Law: no command leaves a cluster that could not elect. A newcomer gets a vote only once it has the
log; if it does not get so far, it is as if it had never been asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import trio

from dnslb.election.raft.fate import fate_of
from dnslb.election.raft.membership import Configuration, Member, Suffrage, majority
from dnslb.election.raft.node import RaftNode
from dnslb.errors import CommandRefused, InvalidValue
from dnslb.net.clock import Clock

POLL_S = 0.02
READY_S = 3.0
CATCH_UP_S = 20.0
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
    """One command at a time; a second one waits for the first. ``staged``: the ids of those who
    are on their way to a vote."""

    def __init__(self, node: RaftNode, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._turn = trio.Lock()
        self.staged: frozenset[str] = frozenset()

    # -------------------------------------------------------------------------------- members

    async def add(
        self,
        member_id: str,
        address: str,
        suffrage: Suffrage,
        *,
        previous_index: int = 0,
        timeout_s: float = CATCH_UP_S,
    ) -> int:
        """Reachable, really that id, of this cluster or none → without a vote → caught up →
        voter. Returns the index of the configuration, the present one when it is so already."""
        async with self._turn:
            await self._begin(previous_index)
            before = self._configuration.find(member_id)
            if before is not None and before.suffrage == "voter" and suffrage == "nonvoter":
                raise CommandRefused(f"{member_id} is a voter: demote_voter takes its vote.")
            try:
                wanted = await self._probed(member_id, address, suffrage)
            except CommandRefused:
                if before is None or (before.address, before.suffrage) != (address, suffrage):
                    raise
                # Down, it is still the member that was added.
                wanted = before
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
        _member(member_id, address, suffrage, "0")  # before anybody is asked
        hello = await self._node.wire.probe(member_id, address)
        if hello.command_version < us.command_version:
            raise CommandRefused(
                f"{member_id} is of an older version than this cluster speaks: update it first."
            )
        if hello.cluster_id not in ("", us.cluster_id):
            raise CommandRefused(
                f"{member_id} belongs to cluster {hello.cluster_id}, this is {us.cluster_id}: "
                "move its directory away first, if it is to belong here."
            )
        return _member(member_id, address, suffrage, hello.incarnation)

    async def _promote(self, before: Member | None, voter: Member, timeout_s: float) -> int:
        failure = f"{voter.id} did not catch up within {timeout_s:g} s."
        silent = replace(voter, suffrage="nonvoter")
        self.staged |= {voter.id}
        try:
            with trio.move_on_after(timeout_s):
                if before != silent:
                    await self._change(self._configuration.with_member(silent))
                await self._until(lambda: self._caught_up(voter.id))
                return await self._change(self._configuration.with_member(voter))
        except CommandRefused as e:
            failure = str(e)
        finally:
            self.staged -= {voter.id}
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
            await self._begin(previous_index)
            before = self._found(member_id)
            if before.suffrage == "nonvoter":
                return self._node.member.journal.configuration_index
            await self._check_electable(self._configuration.voters - {member_id})
            demoted = replace(before, suffrage="nonvoter")
            return await self._change(self._configuration.with_member(demoted))

    async def remove(self, member_id: str, *, previous_index: int = 0) -> int:
        """It belongs to the cluster no more."""
        async with self._turn:
            await self._begin(previous_index)
            self._found(member_id)
            await self._check_electable(self._configuration.voters - {member_id})
            return await self._change(self._configuration.without(member_id))

    async def raise_epoch(self, wanted: int) -> None:
        """The epoch of the cluster is no less than ``wanted`` afterwards."""
        async with self._turn:
            await self._begin(0)
            if self._configuration.epoch < wanted:
                await self._change(replace(self._configuration, epoch=wanted))

    async def check_leaving(self) -> None:
        """Whether the others could elect without this leader, which somebody else is to remove or
        to demote. Raises `CommandRefused`."""
        await self._begin(0)
        await self._check_electable(self._configuration.voters - {self._node.member.id})

    async def _check_electable(self, voters: frozenset[str]) -> None:
        """Those who live must be able to elect; a leader that has just begun waits for them."""
        if not voters:
            only = ", ".join(self._configuration.voters)
            raise CommandRefused(f"{only} is the only voter (1 - 1 = 0): nobody could elect.")
        with trio.move_on_after(self._node.member.settings.timings.election_s_max):
            await self._until(lambda: why_not_electable(voters, self._living()) is None)
        refusal = why_not_electable(voters, self._living())
        if refusal is not None:
            raise CommandRefused(refusal)

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

    async def _begin(self, previous_index: int) -> None:
        """This member leads and knows all, and the caller knows what is in force."""
        member = self._node.member
        with trio.move_on_after(READY_S):
            await self._until(lambda: member.role != "leader" or member.ready)
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
        finished = await fate_of(self._node, lambda: self._node.change(new))
        if finished is None or finished.outcome != "applied":
            raise CommandRefused(
                "The leadership was lost meanwhile; see get_configuration for what came of it."
            )
        return finished.index

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 (several sources, and rarely asked)
            await trio.sleep(POLL_S)


def _member(member_id: str, address: str, suffrage: Suffrage, incarnation: str) -> Member:
    try:
        return Member(member_id, address, suffrage, incarnation)
    except InvalidValue as e:
        raise CommandRefused(f"{e}.") from e
