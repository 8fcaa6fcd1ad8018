"""Forms for the members of a raft cluster: add, demote, remove, transfer, snapshot.

Pure. Who may be elected by whom is arithmetic on the voters as the picture has them; the daemon
judges again, by its log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnslb.api import messages
from dnslbctl.console.form import Field, Form, Judgement, Request, verb_line
from dnslbctl.console.ink import Line
from dnslbctl.console.rows import BEHIND_ENTRIES, is_lost
from dnslbctl.console.steering import say, warn
from dnslbctl.output import plain
from dnslbctl.viewmodel import Picture

TARGET = "/raft"
PREVIOUS = "previous_index"
_INDEX = Field(PREVIOUS, "prev. index", "0", "0: whatever the configuration is")
NOT_RAFT = "{election}: this instance has no members to administer"


def raft(command: str, *arguments: str) -> Request:
    return Request(TARGET, {"command": command, "arguments": [*arguments]})


_OUTCOMES = {
    "add_voter": "{id} is a voter now",
    "add_nonvoter": "{id} is a non-voter now",
    "demote_voter": "{id} is a non-voter now, and votes no more",
    "remove_server": "{id} is no member any more",
    "snapshot": "the snapshot is written, and the log shortened",
}


def outcome(body: Mapping[str, object], values: Mapping[str, object]) -> str:
    """What the values in the daemon's answer to `raft` say, as a sentence."""
    command, arguments = str(body["command"]), body["arguments"]
    if "term" in values:
        return f"{values['id']} leads now, in term {values['term']}"
    id_ = arguments[0] if isinstance(arguments, list) and arguments else ""
    sentence = _OUTCOMES[command].format(id=id_)
    return f"{sentence} (configuration {values['index']})" if "index" in values else sentence


def quorum(voters: int) -> int:
    return voters // 2 + 1


def _arithmetic(before: Sequence[messages.Member], lost_after: int, count_after: int) -> list[Line]:
    """How many must agree and how many may be lost, before and after."""
    n, lost = len(before), sum(map(is_lost, before))
    q, q_after = quorum(n), quorum(count_after) if count_after else 0
    alive = count_after - lost_after
    lines = [
        say(f"voters {n} → {count_after}, {q} → {q_after} must agree"),
        say(f"{alive} of {count_after} reachable: {_bears(alive - q_after)} "
            f"(now {_bears(n - lost - q)})"),
    ]  # fmt: skip
    if count_after and count_after % 2 == 0:
        lines.append(warn(f"an even number bears no more failures than {count_after - 1}"))
    return lines


def _bears(spare: int) -> str:
    return (
        "none may be lost" if spare == 0 else f"{spare} may be lost" if spare > 0 else "no quorum"
    )


def _index_of(values: Mapping[str, str]) -> tuple[str, str, Line]:
    """The index as written, what is wrong with it, and what it means."""
    text = values[PREVIOUS]
    if not (text.isascii() and text.isdecimal()):
        return text, "the previous index is a whole number; 0: any", say("")
    if int(text) == 0:
        return text, "", say("whatever the configuration is by then")
    return text, "", say(f"refused if the configuration is not at index {int(text):,} any more")


@dataclass(frozen=True)
class Add(Form):
    """``command``: add_voter or add_nonvoter."""

    command: str = "add_voter"

    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        id_, address = values["id"], values["address"]
        index, wrong, meaning = _index_of(values)
        verb = verb_line("raft", self.command, id_ or "ID", address or "HOST:PORT", index)
        request = raft(self.command, id_, address, index)
        lacks = wrong
        if not id_ or not _is_address(address):
            lacks = "give the member's id, and HOST:PORT where the others reach it"
        known = next((m for m in picture.members if m["id"] == id_), None)
        owner = next((m for m in picture.members if m["address"] == address), None)
        if owner is not None and owner["id"] != id_:
            forbids = f"{plain(address)} is the address of {plain(owner['id'])}"
            return Judgement(verb, request, (), lacks, forbids)
        so = self._so(id_, address, known, picture)
        return Judgement(verb, request, (*so, meaning), lacks)

    def _so(
        self, id_: str, address: str, known: messages.Member | None, picture: Picture
    ) -> list[Line]:
        voters = picture.voters()
        votes = known is not None and known["suffrage"] == "voter"
        if known is not None and known["address"] != address:
            return [warn(f"{plain(id_)} is at {plain(known['address'])} now: this changes its "
                         "address, in stages")]  # fmt: skip
        if known is not None and (votes == (self.command == "add_voter")):
            return [say("it is that already: nothing changes")]
        if self.command == "add_nonvoter":
            if votes:
                return [warn("it is a voter: demote it instead")]
            return [say("it is kept current and never votes; add_voter promotes it")]
        lost = sum(map(is_lost, voters))
        so = _arithmetic(voters, lost, len(voters) + 1)
        if lost:
            so.append(warn("a voter is lost: should it be removed first?"))
        so.append(say("it joins once it is reached, is really that id, and has caught up"))
        return so


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and 0 < int(port) < 65536


def add(picture: Picture, command: str) -> Add:
    """Proposes the non-voter that is there, where a voter is to be added."""
    known = [m for m in picture.members if m["suffrage"] != "voter"]
    first = known[0] if known and command == "add_voter" else None
    fields = (
        Field("id", "id", first["id"] if first else "", "fra-4"),
        Field("address", "address", first["address"] if first else "", "10.20.4.5:3648"),
        _INDEX,
    )
    what: tuple[Line, ...] = (say("start the new member first, without -raft-bootstrap", "dim"),)
    button = "Add voter" if command == "add_voter" else "Add non-voter"
    return Add(button, what, fields, button, command=command)


@dataclass(frozen=True)
class Leave(Form):
    """``command``: demote_voter or remove_server; ``id``: whom it was opened for."""

    command: str = "remove_server"
    id: str = ""

    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        index, wrong, meaning = _index_of(values)
        verb = verb_line("raft", self.command, self.id, index)
        request = raft(self.command, self.id, index)
        member = next((m for m in picture.members if m["id"] == self.id), None)
        if member is None:
            forbids = f"{plain(self.id)} is no member any more"
            return Judgement(verb, request, forbids=forbids)
        so: list[Line] = []
        forbids = ""
        if member["suffrage"] == "voter":
            rest = [m for m in picture.voters() if m["id"] != self.id]
            lost = sum(map(is_lost, rest))
            if not rest:
                forbids = "it is the last voter: nobody could be elected"
            elif len(rest) - lost < quorum(len(rest)):
                forbids = f"the rest could not elect: {lost} of {len(rest)} are lost"
            so = _arithmetic(picture.voters(), lost, len(rest))
        elif self.command == "demote_voter":
            forbids = f"{plain(self.id)} is no voter"
        if member["role"] == "leader":
            so.append(warn("it leads: it hands over first, and writes nothing meanwhile"))
        if self.command == "remove_server":
            so.append(say("stop it afterwards; add_voter takes it in again as it is"))
        return Judgement(verb, request, (*so, meaning), wrong, forbids, plain(self.id))


def leave(member: messages.Member, command: str) -> Leave:
    title = "Demote a voter" if command == "demote_voter" else "Remove a member"
    what: tuple[Line, ...] = (
        [(plain(member["id"]), "bold"),
         (f"  {member['suffrage']}, {member['role']}, {plain(member['address'])}", "dim")],
    )  # fmt: skip
    button = "Demote" if command == "demote_voter" else "Remove"
    fields = (_INDEX,)
    return Leave(title, what, fields, button, danger=True, command=command, id=member["id"])


class Transfer(Form):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        to = values["to"]
        able = able_to_lead(picture)
        member = next((m for m in able if m["id"] == to), None) if to else next(iter(able), None)
        words = ["leadership_transfer"]
        if to:
            words = ["leadership_transfer_to_server", to, member["address"] if member else ""]
        verb, request = verb_line("raft", *words), raft(*words)
        if member is None:
            whom = f"{plain(to)} is" if to else "no other voter is"
            return Judgement(verb, request, forbids=f"{whom} reachable as a voter")
        if (leader := picture.status["leader"]) is None:
            nobody = "there is no leader that could hand over: one is elected by itself"
            return Judgement(verb, request, forbids=f"{nobody} once most voters reach each other")
        who = plain(leader["id"])
        so = [
            say(f"{who} stops writing, and {plain(member['id'])} is elected"),
            say("for a second or two nothing is written; what DNS answers stays"),
        ]
        if (member["lag"] or 0) >= BEHIND_ENTRIES:
            so.append(warn(f"it is {member['lag']:,} entries behind and must catch up first"))
        if member["version"] != picture.status["version"]:
            so.append(warn(f"it runs {plain(member['version'])}, this one "
                           f"{plain(picture.status['version'])}"))  # fmt: skip
        digests = {m["config_digest"] for m in picture.members if m["id"] in (to, who)}
        if len(digests) > 1:
            so.append(warn("its configuration differs: changes that come from that are held"))
        return Judgement(verb, request, tuple(so))


def able_to_lead(picture: Picture) -> list[messages.Member]:
    """Voters that could be elected now, the most current first."""
    able = [m for m in picture.voters() if m["role"] != "leader" and not is_lost(m)]
    return sorted(able, key=lambda m: (m["lag"] or 0, m["id"]))


def transfer(picture: Picture, chosen: str = "") -> Transfer:
    """``chosen``: the member under the cursor."""
    able = able_to_lead(picture)
    choices = [("", "whoever is most current")]
    choices += [(m["id"], f"{plain(m['id'])}  {m['lag'] or 0:,} behind") for m in able]
    first = chosen if any(m["id"] == chosen for m in able) else ""
    leader = picture.status["leader"]
    term = picture.status["term"]
    what: tuple[Line, ...] = (
        [("leader ", "dim"), (plain(leader["id"]) if leader else "none", "bold"),
         (f"  term {term}", "dim")],
    )  # fmt: skip
    fields = (Field("to", "to", first, choices=tuple(choices)),)
    return Transfer("Transfer leadership", what, fields, "Transfer")


class Snapshot(Form):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        so = say(
            f"{plain(picture.status['instance_id'])} writes its state as one and shortens its log"
        )
        return Judgement(verb_line("raft", "snapshot"), raft("snapshot"), (so,))


def snapshot() -> Snapshot:
    return Snapshot("Take a snapshot", (), (), "Take it")
