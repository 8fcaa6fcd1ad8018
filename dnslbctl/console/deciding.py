"""Forms in which a person decides: held changes, and names that left the configuration.

Pure. An approval is for exactly the change that was shown: its id is a digest, and one more
address makes another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnslb.api import messages
from dnslbctl.console import details
from dnslbctl.console.form import Field, Form, Judgement, command, verb_line
from dnslbctl.console.ink import Line
from dnslbctl.console.steering import say, warn
from dnslbctl.output import count, plain
from dnslbctl.viewmodel import Picture

APPROVED_MAX = 100
"""So many ids one command takes."""


@dataclass(frozen=True)
class Decide(Form):
    """``ids``: the one that it was opened for first, then all others that are held."""

    ids: tuple[str, ...] = ()

    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        kind = values["act"]
        ids = self.ids if values.get("which") == "all" else self.ids[:1]
        verb, request = verb_line(kind, *ids), command(kind, [*ids])
        held = {c["id"]: c for c in picture.changes if c["state"] == "held"}
        if gone := [id_ for id_ in ids if id_ not in held]:
            forbids = f"{', '.join(map(plain, gone[:3]))} is not held any more, or is another now"
            return Judgement(verb, request, forbids=forbids)
        changes = [held[id_] for id_ in ids]
        if kind == "drop":
            so = [
                say("DNS stays as it is for these records" if len(ids) > 1
                    else "DNS stays as it is for this record"),
                say("life that returns, or another set of addresses, ends the decision"),
            ]  # fmt: skip
            return Judgement(verb, request, tuple(so))
        name = plain(changes[0]["name"]) if len(ids) == 1 else f"all {len(ids)}"
        return Judgement(verb, request, tuple(_approved(changes)), typed=name)


def _approved(changes: Sequence[messages.Change]) -> list[Line]:
    gone = sum(len({*c["before"]} - {*c["after"]}) for c in changes)
    come = sum(len({*c["after"]} - {*c["before"]}) for c in changes)
    so = [say(f"written at once: {count(gone, 'address', 'addresses')} out, {come} in")]
    empty = [plain(c["name"]) for c in changes if not c["after"]]
    if empty:
        so.append(warn(f"{', '.join(empty[:3])} will have no address of this type left"))
    if gone:
        so.append(warn("a guard holds this back: it lets go of addresses on your word"))
    so.append(say("valid for exactly these addresses, for ten minutes"))
    return so


def decide(change: messages.Change, picture: Picture) -> Decide:
    others = [c["id"] for c in picture.changes if c["state"] == "held" and c["id"] != change["id"]]
    ids = (change["id"], *others[: APPROVED_MAX - 1])
    what: list[Line] = [
        [(f"{plain(change['name'])} {change['type']}", "bold"),
         (f"  ttl {change['ttl']}  {plain(change['id'])}", "dim")],
        *details.difference(change),
        [(plain(change["reason"]), "")],
    ]  # fmt: skip
    acts = (("drop", "drop: DNS stays"), ("approve", "approve: let it go out"))
    fields = [Field("act", "decide", "drop", choices=acts)]
    if len(ids) > 1:
        which = (("one", "this one"), ("all", f"all {len(ids)} that are held"))
        fields.insert(0, Field("which", "what", "one", choices=which))
    return Decide(
        "Decide a held change", tuple(what), tuple(fields), "Decide", danger=True, ids=ids
    )


@dataclass(frozen=True)
class Release(Form):
    name: str = ""

    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        delete = values["records"] == "delete"
        words = ["release", self.name, *(["--delete"] if delete else [])]
        request = command("release", [self.name], delete=delete)
        if self.name not in picture.status["released"]:
            forbids = f"{plain(self.name)} waits for no release any more"
            return Judgement(verb_line(*words), request, forbids=forbids)
        if not delete:
            so = say("dnslb forgets the name; its records stay in DNS, and are yours")
            return Judgement(verb_line(*words), request, (so,))
        so = warn("its address records are deleted from DNS: the name stops resolving")
        return Judgement(verb_line(*words), request, (so,), typed=plain(self.name))


def release(name: str) -> Release:
    choices = (("keep", "keep its records"), ("delete", "delete its records"))
    what: tuple[Line, ...] = (
        [(plain(name), "bold"), (" left the configuration; its records are still in DNS", "")],
    )
    fields = (Field("records", "and", "keep", choices=choices),)
    return Release("Release a name", what, fields, "Release", danger=True, name=name)
