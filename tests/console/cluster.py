"""A strict stand-in for a raft cluster behind the control server's port, by interfaces 5.

It knows the words, their arguments and what is refused; it elects nobody. It refuses what the
contract refuses, so that a console which asks for it is found out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterCommand, ClusterReply, ClusterView, MemberView, Suffrage
from dnslbctl.raftwords import COMMANDS
from tests.doubles.operations import Shown

_LOCAL = frozenset({"get_configuration", "snapshot", "stats"})


def _lines(**values: object) -> ClusterReply:
    shown = (f'{k}: "{v}"' if isinstance(v, str) else f"{k}: {v}" for k, v in values.items())
    return ClusterReply(tuple(shown), values)


class Cluster:
    """Changes the members that `Shown` shows. ``index``: of the newest configuration."""

    def __init__(self, shown: Shown, index: int = 183_911) -> None:
        self._shown = shown
        self.index = index

    async def execute(self, command: ClusterCommand) -> ClusterReply:
        self._shown.cluster_commands.append(command)
        names = COMMANDS.get(command.name)
        if names is None or len(names) != len(command.arguments):
            raise CommandRefused(f"{command.name}: wrong words {command.arguments}")
        given = dict(zip(names, command.arguments, strict=True))
        if self.view.leader is None and command.name not in _LOCAL:
            raise CommandRefused("no leader is known")
        handler: Any = getattr(self, f"_{command.name}", None)
        if handler is None:
            raise CommandRefused(f"{command.name} is not played here")
        reply = handler(**given)
        assert isinstance(reply, ClusterReply)
        return reply

    @property
    def view(self) -> ClusterView:
        return self._shown.members

    def _find(self, id: str) -> MemberView:  # noqa: A002 - as the contract calls it
        for member in self.view.members:
            if member.id == id:
                return member
        raise CommandRefused(f"{id} is no member")

    def _changed(self, members: tuple[MemberView, ...]) -> ClusterReply:
        self.index += 300
        self._shown.members = replace(self.view, members=members)
        return _lines(index=self.index)

    def _check_index(self, previous_index: str) -> None:
        wanted = int(previous_index)
        if wanted and wanted != self.index:
            raise CommandRefused(f"the configuration is at index {self.index}, not {wanted}")

    def _add(
        self,
        id: str,  # noqa: A002
        address: str,
        previous_index: str,
        suffrage: Suffrage,
    ) -> ClusterReply:
        self._check_index(previous_index)
        taken = [m for m in self.view.members if m.address == address and m.id != id]
        if taken:
            raise CommandRefused(f"{address} is the address of {taken[0].id}")
        new = MemberView(
            id, address, suffrage, "follower", False, "0.1.0", "abcdef0123", 0.1, 0, 0, True
        )
        rest = tuple(m for m in self.view.members if m.id != id)
        return self._changed((*rest, new))

    def _add_voter(self, **given: str) -> ClusterReply:
        return self._add(**given, suffrage="voter")

    def _add_nonvoter(self, **given: str) -> ClusterReply:
        return self._add(**given, suffrage="nonvoter")

    def _check_rest(self, id: str) -> None:  # noqa: A002
        rest = [m for m in self.view.members if m.suffrage == "voter" and m.id != id]
        lost = sum(m.reached is False for m in rest)
        if len(rest) - lost < len(rest) // 2 + 1:
            raise CommandRefused(f"without {id} the rest could not elect a leader")

    def _demote_voter(self, id: str, previous_index: str) -> ClusterReply:  # noqa: A002
        self._check_index(previous_index)
        member = self._find(id)
        self._check_rest(id)
        others = tuple(m for m in self.view.members if m.id != id)
        return self._changed((*others, replace(member, suffrage="nonvoter")))

    def _remove_server(self, id: str, previous_index: str) -> ClusterReply:  # noqa: A002
        self._check_index(previous_index)
        if self._find(id).suffrage == "voter":
            self._check_rest(id)
        return self._changed(tuple(m for m in self.view.members if m.id != id))

    def _leadership_transfer(self) -> ClusterReply:
        for member in self.view.members:
            if member.suffrage == "voter" and member.role != "leader":
                return self._leadership_transfer_to_server(member.id, member.address)
        raise CommandRefused("there is nobody to hand over to")

    def _leadership_transfer_to_server(self, id: str, address: str) -> ClusterReply:  # noqa: A002
        member = self._find(id)
        if member.address != address:
            raise CommandRefused(f"{id} is at {member.address}, not at {address}")
        if member.suffrage != "voter":
            raise CommandRefused(f"{id} is no voter")
        if member.reached is False:
            raise CommandRefused(f"{id} did not take over in time; fra-1 leads again")
        term = (self.view.term or 0) + 1
        self._shown.members = replace(
            self.view,
            role="follower",
            term=term,
            leader=(id, address),
            members=tuple(
                replace(m, role="leader" if m.id == id else "follower") for m in self.view.members
            ),
        )
        return _lines(id=id, address=address, term=term)

    def _stats(self) -> ClusterReply:
        return _lines(state="LEADER", latest_configuration="[]")

    def _get_configuration(self) -> ClusterReply:
        servers = [
            {"suffrage": one.suffrage.upper(), "id": one.id, "address": one.address}
            for one in self.view.members
        ]
        lines = tuple(
            f'suffrage: {one["suffrage"]} id: "{one["id"]}" address: "{one["address"]}"'
            for one in servers
        )
        return ClusterReply(lines, {"servers": servers, "index": self.index})

    def _snapshot(self) -> ClusterReply:
        return ClusterReply(("ok",), {"ok": True})
