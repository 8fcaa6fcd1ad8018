"""Forms that steer: drain, force, clear, pause, resume, sync.

Pure. The consequences are computed from the picture by the daemon's own rules (safety 4.3); what
the daemon answers is the truth all the same, and is what the form reports in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnslb.api import messages
from dnslb.api.codec import to_time
from dnslbctl import cli
from dnslbctl.console.form import (
    Field,
    Form,
    Judgement,
    Length,
    command,
    length_of,
    verb_line,
)
from dnslbctl.console.ink import Line
from dnslbctl.output import clock, count, plain, until
from dnslbctl.pages import FORCED, difference
from dnslbctl.viewmodel import Balancer, Key, Picture, Row

WHY = "say why: everybody who looks is shown it"
_REASON = Field("reason", "why", hint="INC-1234 disk swap")
_SHOWN_MAX = 5


def warn(text: str) -> Line:
    return [("! ", "warn"), (text, "warn")]


def say(text: str, tone: str = "") -> Line:
    return [(text, tone)]


def _ends(length: Length, picture: Picture, then: str) -> Line:
    if length.seconds is None:
        return warn("without an end: after an hour it stands in status until somebody ends it")
    at = to_time(picture.now_s() + length.seconds)
    return say(f"{then} by itself at {clock(at, picture.at)}")


@dataclass(frozen=True)
class Endpoint(Form):
    """About one endpoint, which may leave while the form is open."""

    key: Key = ("", "")

    def _find(self, picture: Picture) -> tuple[Balancer, Row] | None:
        row = picture.find(self.key)
        return None if row is None else (picture.lbs[self.key[0]], row)

    def _gone(self) -> Judgement:
        forbids = f"{plain(self.key[1])} is no endpoint of {plain(self.key[0])} any more"
        return Judgement("", command("sync", []), forbids=forbids)


def _opened(key: Key, row: Row) -> tuple[Line, ...]:
    tone = {"up": "ok", "down": "bad"}.get(row.state, "warn")
    return (
        [(plain(key[1]), "bold"), (f" of {plain(key[0])}, now ", ""), (row.state, tone),
         (", in DNS" if row.published else ", not in DNS", "")],
    )  # fmt: skip


class Drain(Endpoint):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        if (found := self._find(picture)) is None:
            return self._gone()
        balancer, row = found
        reason, length = values["reason"], length_of(values["for"])
        living, remain = balancer.living(), balancer.living([row])
        least = balancer.head["min_published"]
        so: list[Line] = []
        forbids = typed = ""
        if row.address not in living:
            so.append(say("it counts as dead or unknown already: the living stay as they are"))
            if {*balancer.head["desired"]} == {row.address}:
                forbids = "no published address would be left; not even --yes does that"
        else:
            so.append(say(f"living {len(living)} {'→'} {len(remain)}, min-published {least}"))
            if not remain:
                forbids = "it is the last living endpoint; not even --yes drains it"
            elif len(remain) < least:
                so.append(warn("fewer than min-published remain: the rest gets all the load"))
                typed = balancer.name
        if row.published and not forbids:
            ttl = balancer.head["ttl"]
            so.append(say(f"out of DNS at once; clients follow within the TTL, {ttl} s"))
            so += _next_priority(balancer, row, remain)
        so.append(_ends(length, picture, "it returns"))
        insist = bool(typed)
        verb = verb_line("drain", row.id, lb=balancer.name, yes="" if insist else None,
                         reason=reason, **{"for": length.text or None})  # fmt: skip
        request = command("drain", [row.id], lb=balancer.name, reason=reason,
                          for_seconds=length.seconds, insist=insist)  # fmt: skip
        return Judgement(verb, request, tuple(so), length.wrong or ("" if reason else WHY),
                         forbids, typed)  # fmt: skip


def _next_priority(balancer: Balancer, row: Row, remain: frozenset[str]) -> list[Line]:
    """Of several priorities the lowest with a living endpoint is published, alone."""
    left = sorted({r.priority for r in balancer.rows if r.address in remain})
    if not left or left[0] <= row.priority:
        return []
    takes_over = sum(r.priority == left[0] for r in balancer.rows if r.address in remain)
    return [warn(f"priority {left[0]} takes over with {count(takes_over, 'endpoint')}")]


def drain(key: Key, row: Row) -> Drain:
    fields = (_REASON, Field("for", "for", "2h", "30m, 2h, 1d, forever"))
    return Drain("Drain", _opened(key, row), fields, "Drain", danger=True, key=key)


class Force(Endpoint):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        if (found := self._find(picture)) is None:
            return self._gone()
        balancer, row = found
        kind, reason = values["kind"], values["reason"]
        length = length_of(values["for"], needed=True)
        living, remain = balancer.living(), balancer.living([row])
        so: list[Line] = []
        typed = ""
        if kind == "force-up":
            so.append(say("it is published whatever the agents say"))
            if row.state != "up":
                said = row.votes.count("d")
                so.append(warn(f"{said} of {len(row.votes)} agents say that it is down: clients "
                               "will be sent there all the same"))  # fmt: skip
                typed = balancer.name
        elif not remain and row.address in living:
            so.append(warn("it is the last living endpoint: then nothing lives, and "
                           "when-all-down decides what is published"))  # fmt: skip
            typed = balancer.name
        else:
            so.append(say(f"living {len(living)} {'→'} {len(remain)}; it is treated as dead"))
            if len(remain) < (least := balancer.head["min_published"]):
                so.append(warn(f"min-published is {least}: the set is not made smaller than that"))
        so.append(_ends(length, picture, "the agents decide again"))
        lasts = length.text or (cli.FOREVER if not length.wrong else "")
        verb = verb_line(kind, row.id, lb=balancer.name, reason=reason, **{"for": lasts})
        request = command(kind, [row.id], lb=balancer.name, reason=reason,
                          for_seconds=length.seconds)  # fmt: skip
        lacks = length.wrong or ("" if reason else WHY)
        return Judgement(verb, request, tuple(so), lacks, typed=typed)


def force(key: Key, row: Row) -> Force:
    kinds = (("force-down", "down: treat as dead"), ("force-up", "up: treat as living"))
    first = "force-down" if row.state == "up" else "force-up"
    fields = (
        Field("kind", "to", first, choices=kinds),
        _REASON,
        Field("for", "for", "1h", "30m, 2h, 1d, forever"),
    )
    return Force("Force", _opened(key, row), fields, "Force", danger=True, key=key)


class Clear(Endpoint):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        lb, id_ = self.key
        verb = verb_line("clear", id_, lb=lb)
        request = command("clear", [id_], lb=lb)
        orders = [o for o in picture.orders if o["lb"] == lb and o["endpoint"] == id_]
        row = picture.find(self.key)
        if not orders and (row is None or row.override is None):
            return Judgement(verb, request, forbids="nothing overrides it any more")
        so = [say("the agents decide again")]
        if row is not None:
            votes = f"{row.votes.count('u')} of {len(row.votes)} say up"
            returns = row.state == "up" and not row.published
            leaves = row.state == "down" and row.published
            effect = "it returns to DNS" if returns else "it leaves DNS" if leaves else "as in DNS"
            so.append(say(f"{votes}, so the verdict is {row.state}: {effect}"))
        return Judgement(verb, request, tuple(so))


def clear(key: Key, override: messages.EndpointOverride, at: str) -> Clear:
    said = f"{FORCED[override['kind']]} by {override['by']} {until(override['expires_at'], at)}"
    what: tuple[Line, ...] = (
        [(plain(key[1]), "bold"), (f" of {plain(key[0])}", "")],
        [(plain(said), "held"), (f": {plain(override['reason'])}", "")],
    )
    return Clear("Clear", what, (), "Clear", key=key)


class Pause(Form):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        scope, reason, length = values["scope"], values["reason"], length_of(values["for"])
        where = plain(scope) or "everything"
        so = [
            say(f"nothing is written for {where}; checks and votes go on"),
            warn("what fails meanwhile STAYS in DNS"),
        ]
        if waiting := [c for c in picture.changes if c["state"] in ("pending", "applying")]:
            so.append(say(f"{count(len(waiting), 'change')} under way now"))
        so.append(_ends(length, picture, "it resumes"))
        subjects = [scope] if scope else []
        verb = verb_line("pause", *subjects, reason=reason, **{"for": length.text or None})
        request = command("pause", subjects, reason=reason, for_seconds=length.seconds)
        typed = "forever" if length.seconds is None and not length.wrong else ""
        lacks = length.wrong or ("" if reason else WHY)
        return Judgement(verb, request, tuple(so), lacks, typed=typed)


def pause(scopes: tuple[tuple[str, str], ...]) -> Pause:
    fields = (
        Field("scope", "what", "", choices=scopes),
        Field("reason", "why", hint="INC-1234 move of the data centre"),
        Field("for", "for", "30m", "30m, 2h, 1d, forever"),
    )
    return Pause("Pause DNS changes", (), fields, "Pause", danger=True)


class Resume(Form):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        scope = values.get("scope", "*")
        pauses = picture.status["pauses"]
        subjects = [] if scope in ("*", "") else [scope]
        verb, request = verb_line("resume", *subjects), command("resume", subjects)
        if not any(scope in ("*", pause["scope"]) for pause in pauses):
            return Judgement(verb, request, forbids="nothing is paused any more")
        if scope == "":
            return Judgement(verb, request, (say("every pause ends"), *_to_write(picture)))
        return Judgement(verb, request, tuple(_to_write(picture)))


def _to_write(picture: Picture) -> list[Line]:
    """What waits to be written; a pause of a name may be one of several reasons to wait."""
    waiting = [c for c in picture.changes if c["state"] == "pending"]
    if not waiting:
        return [say("nothing waits to be written")]
    lines = [say(f"{count(len(waiting), 'change')} may be written at once:")]
    lines += [
        say(f"  {plain(c['name'])} {c['type']} {plain(difference(c))}")
        for c in waiting[:_SHOWN_MAX]
    ]
    if (more := len(waiting) - _SHOWN_MAX) > 0:
        lines.append(say(f"  and {more} more"))
    return lines


def resume(picture: Picture) -> Resume:
    pauses = picture.status["pauses"]
    what: list[Line] = []
    for p in pauses[:_SHOWN_MAX]:
        ends = until(p["expires_at"], picture.at)
        scope = plain(p["scope"]) or "everything"
        what.append([(scope, "held"), (f" by {plain(p['by'])}, {ends}: {plain(p['reason'])}", "")])
    choices = tuple((p["scope"], p["scope"] or "everything") for p in pauses)
    fields = (Field("scope", "what", "*", choices=(("*", "all of them"), *choices)),)
    if len(pauses) == 1:
        fields = (Field("scope", "what", choices[0][0], choices=choices),)
    return Resume("Resume DNS changes", tuple(what), fields, "Resume")


class Sync(Form):
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        zone = values["zone"]
        subjects = [zone] if zone else []
        so = [
            say(f"{plain(zone) or 'every zone'} is read from the provider and compared now"),
            say("what differs from what is wanted is treated as -drift says"),
        ]
        return Judgement(verb_line("sync", *subjects), command("sync", subjects), tuple(so))


def sync(picture: Picture) -> Sync:
    zones = tuple((zone["name"], plain(zone["name"])) for zone in picture.status["zones"][:20])
    fields = (Field("zone", "what", "", choices=(("", "all zones"), *zones)),)
    return Sync("Compare with the provider", (), fields, "Compare")
