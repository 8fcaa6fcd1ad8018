"""What a pane says about the row under its cursor: lines of text, from the picture.

Pure. Longer explanations come from the daemon (`why`); this is what is at hand at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dnslb.api import messages
from dnslb.api.codec import from_time
from dnslbctl.console.ink import Line
from dnslbctl.console.rows import (
    CHANGES,
    SEVERITIES,
    VERDICTS,
    VOTES,
    Rows,
    brief,
    is_lost,
    is_unseen,
)
from dnslbctl.output import clock, count, duration, milliseconds, plain, until
from dnslbctl.pages import FORCED
from dnslbctl.viewmodel import Balancer, Key, Row

SHOWN_MAX = 6
Votes = Mapping[str, messages.AgentVote]


def of_attention(rows: Rows, key: tuple[str, str]) -> list[Line]:
    row = rows.attention(key)
    if row is None:
        return []
    mark, word, tone = SEVERITIES[row["severity"]]
    lines: list[Line] = [
        [(f"{rows.mark(mark)} {word}  ", tone), (plain(rows.subject_of(row)), "bold"),
         (f"  {plain(row['kind'])}, for {rows.since(row['since'])}", "dim")],
        [(plain(row["sentence"]), "")],
    ]  # fmt: skip
    if step := rows.step_of(row):
        lines.append([("next  ", "dim"), ("x", "key"), (f" {step.lower()}s it here", "")])
    if row["next"]:
        lead = "or    " if step else "next  "
        lines.append([(lead, "dim"), (plain(row["next"]), "" if step else "key")])
    return lines


def of_endpoint(rows: Rows, key: Key | str, votes: Votes | None) -> list[Line]:
    """``votes``: each agent's, with its message, once the daemon was asked."""
    if isinstance(key, str):
        balancer = rows.picture.lbs.get(key)
        return [] if balancer is None else _of_balancer(rows, balancer)
    row = rows.picture.find(key)
    return [] if row is None else [*endpoint_head(rows, key, row), *_votes(rows, row, votes)]


def endpoint_head(rows: Rows, key: Key, row: Row) -> list[Line]:
    mark, tone = VERDICTS[row.state]
    where = "in DNS" if row.published else "not in DNS"
    lines: list[Line] = [
        [(plain(rows.named(row)), "bold"), (f" of {plain(key[0])}  ", ""),
         (f"{rows.mark(mark)} {row.state}", tone),
         (f" for {rows.since(row.since)}, counts as {row.counts_as}, {where}", "")],
        [(plain(row.reason), "")],
    ]  # fmt: skip
    if row.override is not None:
        ends = until(row.override["expires_at"], rows.picture.at)
        said = f"{FORCED[row.override['kind']]} by {row.override['by']} {ends}"
        lines.append([(plain(said), "held"), (f"  {plain(row.override['reason'])}", "")])
    return lines


def _votes(rows: Rows, row: Row, votes: Votes | None) -> list[Line]:
    agents = rows.picture.agents
    width = max((len(plain(agent["name"])) for agent in agents), default=0)
    words = {"u": "up", "d": "down", "?": "unknown"}
    timed = any("round_trip_seconds" in said for said in (votes or {}).values())
    lines: list[Line] = []
    for agent, letter in zip(agents, row.votes, strict=False):
        name = plain(agent["name"])
        mark, tone = VOTES[letter]
        said = (votes or {}).get(agent["name"])
        seen = agent["seen_at"]
        age_s = said["age_seconds"] if said else seen and max(rows.now_s - from_time(seen), 0.0)
        heard = "never heard" if not isinstance(age_s, float | int) else f"{duration(age_s)} ago"
        trip = milliseconds(said.get("round_trip_seconds")) if said else ""
        message = plain(said["message"]) if said else ""
        lines.append(
            [(f"  {name:{width}}  ", ""), (f"{rows.mark(mark)} {words[letter]:8}", tone),
             (f"{heard:>12}  ", "dim"), (f"{trip:>7}  " if timed else "", "dim"), (message, "")]
        )  # fmt: skip
    return lines


def _of_balancer(rows: Rows, balancer: Balancer) -> list[Line]:
    head = balancer.head
    zone = plain(head["zone"] or "none")
    lines: list[Line] = [
        [(plain(balancer.name), "bold"),
         (f"  {balancer.living_count} of {len(balancer.rows)} living", ""),
         (f", min-published {head['min_published']}, ttl {head['ttl']} s, zone {zone}", "dim")],
        [(plain(head["frozen"] or head["sentence"]), "bad" if head["frozen"] else "")],
    ]  # fmt: skip
    published, desired = head["published"], head["desired"]
    if published is None:
        lines.append([("in DNS  ", "dim"), ("not read yet", "warn")])
    elif sorted(published) == sorted(desired):
        lines.append([("in DNS  ", "dim"), (_listed(published), ""), ("  as wanted", "dim")])
    else:
        lines.append([("in DNS  ", "dim"), (_listed(published), "")])
        lines.append([("wanted  ", "dim"), (_listed(desired), "warn")])
    return lines


def _listed(values: Sequence[str]) -> str:
    if not values:
        return "nothing"
    more = f" and {len(values) - SHOWN_MAX} more" if len(values) > SHOWN_MAX else ""
    return ", ".join(map(plain, values[:SHOWN_MAX])) + more


def of_change(rows: Rows, key: str) -> list[Line]:
    change = next((c for c in rows.picture.changes if c["id"] == key), None)
    if change is None:
        return []
    mark, tone = CHANGES[change["state"]]
    lines: list[Line] = [
        [(f"{rows.mark(mark)} {change['state']}  ", tone),
         (f"{plain(change['name'])} {change['type']}", "bold"),
         (f"  ttl {change['ttl']}  {plain(change['id'])}", "dim")],
        *difference(change),
        [("why   ", "dim"), (plain(change["reason"]), "")],
    ]  # fmt: skip
    at = rows.picture.at
    if change["error"]:
        tries = count(change["attempts"], "time")
        lines.append([("error ", "dim"), (f"failed {tries}: {plain(change['error'])}", "bad")])
    match change["state"]:
        case "held":
            lines.append([("when  ", "dim"), ("never by itself: ", "held"), ("x", "key"),
                          (" decides", "held")])  # fmt: skip
        case "pending" if change["not_before"]:
            left = brief(from_time(change["not_before"]) - rows.now_s)
            lines.append([("when  ", "dim"), (f"in {left}, if nothing changes", "")])
        case "published" | "applied":
            lines.append([("when  ", "dim"), (_times(change, at), "")])
    return lines


def difference(change: messages.Change) -> list[Line]:
    """Before → after, an address a line, and what stays in one."""
    before, after = change["before"], change["after"]
    gone = [v for v in before if v not in after]
    come = [v for v in after if v not in before]
    stay = [v for v in before if v in after]
    lines: list[Line] = [[(f"  - {plain(v)}", "bad")] for v in gone[:SHOWN_MAX]]
    lines += [[(f"  + {plain(v)}", "ok")] for v in come[:SHOWN_MAX]]
    if (more := max(len(gone) - SHOWN_MAX, 0) + max(len(come) - SHOWN_MAX, 0)) > 0:
        lines.append([(f"    and {more} more", "")])
    if stay:
        lines.append([(f"    {_listed(stay)} {'stays' if len(stay) == 1 else 'stay'}", "dim")])
    elif not come:
        lines.append([("    nothing stays", "bad")])
    return lines


def _times(change: messages.Change, at: str) -> str:
    decided = from_time(change["created_at"])
    text = f"decided {clock(change['created_at'], at)}"
    if change["applied_at"]:
        text += f", applied after {duration(from_time(change['applied_at']) - decided)}"
    if change["published_at"]:
        took = duration(from_time(change["published_at"]) - decided)
        text += f", answered by the servers after {took}"
    return text


def of_member(rows: Rows, key: str) -> list[Line]:
    """Where it is, and with what it runs."""
    member = next((m for m in rows.picture.members if m["id"] == key), None)
    if member is None:
        return []
    shown = (
        ("address", member["address"]),
        ("version", member["version"]),
        ("config", member["config_digest"]),
    )
    lines: list[Line] = [[(plain(member["id"]), "bold"), (f"  {member['role']}", "dim")]]
    lines += [[(f"{what}  ", "dim"), (plain(said) or "not known", "")] for what, said in shown]
    return [*lines, []]


def of_members(rows: Rows) -> list[Line]:
    """What the cluster bears, in one sentence."""
    status = rows.picture.status
    if status["election"] == "k8s":
        leader = status["leader"]
        if leader is None:
            return [[("nobody is known to hold the Lease", "bad")]]
        return [[("the Lease is held by ", "dim"), (plain(leader["id"]), "bold")]]
    if status["election"] != "raft":
        return [[("alone: nobody takes over when this instance ends; DNS then stays", "dim")]]
    voters = rows.picture.voters()
    if not voters:
        return [[("no voter is known", "warn")]]
    lost = sum(map(is_lost, voters))
    quorum = len(voters) // 2 + 1
    unseen = sum(map(is_unseen, voters))
    spare = len(voters) - lost - unseen - quorum
    text = f"{count(len(voters), 'voter')}, {quorum} must agree"
    if lost:
        text += f", {lost} lost"
    if unseen:
        text += f", {unseen} not seen"
    if spare < 0 <= spare + unseen:
        return [[(f"{text}: ", ""), ("whether a leader can be elected is not known", "warn")]]
    if spare < 0:
        return [[(f"{text}: ", ""), ("no leader can be elected, and DNS stays as it is", "bad")]]
    bears = f"{spare} more may be lost" if lost or unseen else f"{spare} may be lost"
    tone = "" if spare else "warn"
    return [[(f"{text}: ", ""), (bears if spare else "none may be lost", tone)]]


def of_event(rows: Rows, key: int) -> list[Line]:
    event = rows.event_of(key)
    if event is None:
        return []
    shown = ("seq", "at", "kind", "message")
    more = "  ".join(f"{name}={plain(v)}" for name, v in event.items() if name not in shown)
    return [
        [(plain(event.get("at", "")), "dim"), (f"  {plain(event.get('kind', ''))}", "bold")],
        [(plain(event.get("message", "")), "")],
        *([[(more, "dim")]] if more else []),
    ]
