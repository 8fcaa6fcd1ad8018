"""The twenty commands of raftadmin, and the members as anyone may see them.

Not how members change (`admin`), nor how the leadership is handed over (`elector`): this finds
the one who may answer, and puts answers into words. Implements `dnslb.ports.cluster.Cluster`.

Law: what changes something is done by the leader, goes on when whoever asked has gone, and says
in the event log who that was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
import trio

from dnslb.election.raft.admin import Administration
from dnslb.election.raft.carry import Carrier
from dnslb.election.raft.elector import RaftElector
from dnslb.election.raft.fate import fate_of
from dnslb.election.raft.membership import Suffrage
from dnslb.election.raft.node import RaftNode
from dnslb.election.raft.parting import Parting
from dnslb.election.raft.undertakings import Undertakings
from dnslb.election.surroundings import Note
from dnslb.errors import CommandRefused, NoLeader
from dnslb.model.cluster import ClusterCommand, ClusterReply, Role
from dnslb.net.clock import Clock

ARGUMENTS: Mapping[str, int] = {
    **dict.fromkeys(("add_nonvoter", "add_voter"), 3),
    **dict.fromkeys(("apply_log", "demote_voter", "remove_server"), 2),
    "leadership_transfer_to_server": 2,
    **dict.fromkeys(("await", "forget"), 1),
    **dict.fromkeys(("applied_index", "barrier", "get_configuration", "last_contact"), 0),
    **dict.fromkeys(("last_index", "leader", "leadership_transfer", "shutdown"), 0),
    **dict.fromkeys(("snapshot", "state", "stats", "verify_leader"), 0),
}
CHANGING = frozenset(
    (
        *("add_nonvoter", "add_voter", "apply_log", "barrier", "demote_voter"),
        *("leadership_transfer", "leadership_transfer_to_server", "remove_server"),
    )
)
OF_TOKENS = frozenset(("await", "forget"))
AT_LEADER = CHANGING | OF_TOKENS | {"verify_leader"}
LOOKS = frozenset(("applied_index", "get_configuration", "last_index", "state", "stats"))
"""Those that only tell what the member itself holds."""
OPAQUE_BYTES_MAX = 64 * 1024
NEW_LEADER_S = 5.0
SHUTDOWN_AFTER_S = 0.2
"""So that whoever asked for it hears that it is done."""
_STATES: Mapping[Role, str] = {"leader": "LEADER", "candidate": "CANDIDATE"}
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Parts:
    node: RaftNode
    clock: Clock
    elector: RaftElector
    admin: Administration
    carrier: Carrier
    undertakings: Undertakings
    parting: Parting


class Commands:
    """``stop``: asks the daemon to end."""

    def __init__(self, parts: Parts, note: Note, stop: Callable[[], None]) -> None:
        self._parts = parts
        self._node = parts.node
        self._note = note
        self._stop = stop
        self._stopping = False
        self._doing: Mapping[str, Callable[[ClusterCommand], Awaitable[ClusterReply]]] = {
            "add_nonvoter": self._add,
            "add_voter": self._add,
            "apply_log": self._append,
            "barrier": self._append,
            "demote_voter": self._take_away,
            "leadership_transfer": self._transfer,
            "leadership_transfer_to_server": self._transfer,
            "remove_server": self._take_away,
        }
        self._telling: Mapping[str, Callable[[], ClusterReply]] = {
            "applied_index": lambda: _index(self._node.member.applied),
            "get_configuration": self._configuration,
            "last_contact": self._last_contact,
            "last_index": lambda: _index(self._node.member.journal.last),
            "snapshot": self._snapshot,
            "state": self._state,
            "stats": self._stats,
        }

    async def execute(self, command: ClusterCommand) -> ClusterReply:
        """Here or at the leader. Raises `CommandRefused`."""
        await trio.lowlevel.checkpoint()
        self._check(command)
        if command.name in AT_LEADER:
            if command.name in OF_TOKENS and self._parts.undertakings.knows(command.arguments[0]):
                # Whoever handed the leadership over still knows what came of it.
                return await self.lead(command)
            return await self._at_leader(command)
        if command.name == "leader":
            return await self._leader()
        if command.name == "shutdown":
            return await self._shutdown(command)
        return self._telling[command.name]()

    def _check(self, command: ClusterCommand) -> None:
        name, given = command.name, len(command.arguments)
        if name not in ARGUMENTS:
            raise CommandRefused(f"there is no raft command {name[:40]!r}")
        if given != ARGUMENTS[name]:
            raise CommandRefused(f"{name} takes {ARGUMENTS[name]} arguments, not {given}")
        if command.background and name not in CHANGING:
            raise CommandRefused(f"--async is for commands that change something, not for {name}")

    async def _at_leader(self, command: ClusterCommand) -> ClusterReply:
        leader = await self._parts.carrier.find_leader()
        if leader != self._node.member.id:
            return await self._parts.carrier.ask_raft(leader, command)
        return await self.lead(command)

    async def lead(self, command: ClusterCommand) -> ClusterReply:
        """As the leader, which this member is."""
        self._check(command)
        undertakings = self._parts.undertakings
        if command.name == "verify_leader":
            return await self._verify()
        if command.name == "await":
            return await undertakings.wait(command.arguments[0])
        if command.name == "forget":
            undertakings.forget(command.arguments[0])
            return OK
        doing = self._doing[command.name]

        async def work() -> ClusterReply:
            try:
                return await doing(command)
            except CommandRefused as refused:
                self._note("raft-refused", f"{_words(command)}: {refused}", by=command.by)
                raise

        token = undertakings.begin(command.name, work)
        if command.background:
            return ClusterReply((f'operation_token: "{token}"',), {"operation_token": token})
        reply = await undertakings.wait(token)
        undertakings.forget(token)
        return reply

    # ---------------------------------------------------------------------------- what changes

    async def _add(self, command: ClusterCommand) -> ClusterReply:
        member_id, address, previous = command.arguments
        suffrage: Suffrage = "voter" if command.name == "add_voter" else "nonvoter"
        before = self._node.member.journal.configuration_index
        previous_index = _number(previous, "previous_index")
        index = await self._parts.admin.add(
            member_id, address, suffrage, previous_index=previous_index
        )
        if index != before:
            text = f"{member_id} at {address} is a {suffrage} since index {index}"
            self._note("membership", f"{text}, by {command.by}", by=command.by, index=index)
        return _index(index)

    async def _take_away(self, command: ClusterCommand) -> ClusterReply:
        member_id, previous = command.arguments
        previous_index = _number(previous, "previous_index")
        if member_id == self._node.member.id:
            return await self._take_self_away(command)
        admin = self._parts.admin
        removes = command.name == "remove_server"
        take = admin.remove if removes else admin.demote
        index = await take(member_id, previous_index=previous_index)
        if removes:
            self._parts.parting.took_out(member_id, command.by, index)
        what = "is no member any more" if removes else "does not vote any more"
        text = f"{member_id} {what} since index {index}, by {command.by}"
        self._note("membership", text, by=command.by, index=index)
        return _index(index)

    async def _take_self_away(self, command: ClusterCommand) -> ClusterReply:
        """A leader cannot leave the voters: the next one takes it away."""
        await self._parts.admin.check_leaving()
        heir, _ = await self._parts.elector.hand_over(None)
        with trio.move_on_after(NEW_LEADER_S):
            while heir not in self._node.wire.peers:
                await self._node.wait_event()
        return await self._parts.carrier.ask_raft(heir, command)

    async def _append(self, command: ClusterCommand) -> ClusterReply:
        data = b""
        if command.name == "apply_log":
            data = _encode([one.encode() for one in command.arguments])
            if len(data) > OPAQUE_BYTES_MAX:
                raise CommandRefused(f"apply_log takes at most {OPAQUE_BYTES_MAX} bytes")
        finished = await fate_of(self._node, lambda: self._node.propose_opaque(data))
        if finished is None or finished.outcome != "applied":
            raise CommandRefused("the leadership was lost before the cluster agreed")
        return _index(finished.index)

    async def _transfer(self, command: ClusterCommand) -> ClusterReply:
        member, target = self._node.member, None
        if command.arguments:
            target, address = command.arguments
            known = member.configuration.find(target)
            if known is None:
                raise CommandRefused(f"{target} is not a member; get_configuration lists them.")
            if known.address != address:
                raise CommandRefused(f"the address of {target} is {known.address}, not {address}")
            if known.suffrage != "voter":
                raise CommandRefused(f"{target} does not vote, so it cannot lead.")
        if target == member.id:
            return self._leads(member.id, member.term)
        heir, term = await self._parts.elector.hand_over(target)
        text = f"the leadership went over to {heir} (term {term}), by {command.by}"
        self._note("transfer", text, by=command.by, term=term)
        return self._leads(heir, term)

    def _leads(self, leader: str, term: int) -> ClusterReply:
        known = self._node.member.configuration.find(leader)
        address = known.address if known is not None else ""
        lines = (f'id: "{leader}"', f'address: "{address}"', f"term: {term}")
        return ClusterReply(lines, {"id": leader, "address": address, "term": term})

    async def _shutdown(self, command: ClusterCommand) -> ClusterReply:
        self._note("shutdown", f"shutdown was asked for by {command.by}", by=command.by)
        self._stopping = True

        async def stop() -> ClusterReply:
            await trio.sleep(SHUTDOWN_AFTER_S)
            self._stop()
            return OK

        self._parts.undertakings.begin("shutdown", stop)
        return OK

    # ------------------------------------------------------------------------- what is told

    async def _leader(self) -> ClusterReply:
        leader = await self._parts.carrier.find_leader()
        known = self._node.member.configuration.find(leader)
        if known is None:
            raise NoLeader(f"{leader} leads, and this member does not know its address yet")
        lines = (f'id: "{known.id}"', f'address: "{known.address}"')
        return ClusterReply(lines, {"id": known.id, "address": known.address})

    async def _verify(self) -> ClusterReply:
        member = self._node.member
        if member.role != "leader":
            raise CommandRefused(f"{member.id} does not lead any more")
        if not await self._node.verify(member.settings.timings.election_s_max):
            raise CommandRefused(f"no majority takes {member.id} for its leader now")
        return OK

    def _configuration(self) -> ClusterReply:
        member = self._node.member
        lines, servers = [], []
        for one in member.configuration.members:
            suffrage = one.suffrage.upper()
            lines.append(f'suffrage: {suffrage} id: "{one.id}" address: "{one.address}"')
            servers.append({"suffrage": suffrage, "id": one.id, "address": one.address})
        index = member.journal.configuration_index
        return ClusterReply(tuple(lines), {"servers": servers, "index": index})

    def _contact_age_s(self) -> float | None:
        """Since the leader's last message; for the leader, since the newest answer that completed
        a majority. None: never."""
        member, now = self._node.member, self._parts.clock.now().mono
        if member.role != "leader":
            at = member.last_contact_at
            return None if at is None else now - at
        voters = member.configuration.voters
        heard = sorted(
            (now if one == member.id else member.heard_at(one) or float("-inf") for one in voters),
            reverse=True,
        )
        at = heard[len(voters) // 2]
        return None if at == float("-inf") else now - at

    def _last_contact(self) -> ClusterReply:
        age_s = self._contact_age_s()
        if age_s is None:
            raise CommandRefused("no leader was heard since this member started")
        nano = int((self._parts.clock.now().wall - age_s) * 1e9)
        return ClusterReply((f"unix_nano: {nano}",), {"unix_nano": nano})

    def _snapshot(self) -> ClusterReply:
        self._node.snapshot()
        return OK

    def _state(self) -> ClusterReply:
        state = _STATES.get(self._node.member.role, "FOLLOWER")
        state = "SHUTDOWN" if self._stopping else state
        return ClusterReply((f"state: {state}",), {"state": state})

    def _stats(self) -> ClusterReply:
        member, age_s = self._node.member, self._contact_age_s()
        journal, configuration = member.journal, member.configuration
        contact = "never" if age_s is None else f"{max(age_s, 0.0) * 1000:.3f}ms"
        servers = ", ".join(
            f"{{{one.suffrage} {one.id} {one.address}}}" for one in configuration.members
        )
        values: dict[str, object] = {
            "state": _STATES.get(member.role, "FOLLOWER").capitalize(),
            "term": member.term,
            "last_log_index": journal.last,
            "commit_index": member.commit,
            "applied_index": member.applied,
            "last_snapshot_index": journal.snapshot.index if journal.snapshot else 0,
            "num_peers": len(configuration.voters - {member.id}),
            "last_contact": contact,
            "latest_configuration": f"[{servers}]",
            "fsm_pending": member.commit - member.applied,
            "protocol_version": member.settings.command_version,
        }
        return ClusterReply(tuple(f"{key}: {value}" for key, value in values.items()), values)


OK = ClusterReply(("ok",), {"ok": True})


def _index(index: int) -> ClusterReply:
    return ClusterReply((f"index: {index}",), {"index": index})


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise CommandRefused(f"{name}: a whole number was expected, not {text[:40]!r}")
    return int(text)


def _words(command: ClusterCommand) -> str:
    return " ".join((command.name, *command.arguments))[:300]
