"""The rows of the five panes: what the picture holds → cells of text and tone.

Pure. Which rows there are, and in what order, is `lists`' business.

Law: nothing that came from outside is shown unescaped; a mark never stands without its word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dnslb.api import messages
from dnslb.api.codec import from_time
from dnslbctl.console.ink import Span
from dnslbctl.output import Terminal, plain
from dnslbctl.pages import FORCED, difference
from dnslbctl.viewmodel import Balancer, Key, Picture, Row

BEHIND_ENTRIES = 100
"""So many entries behind, and more, a member is catching up."""
VERDICTS = {"up": ("good", "ok"), "down": ("bad", "bad"), "unknown": ("unknown", "warn")}
VOTES = {"u": ("good", "dim"), "d": ("bad", "bad"), "?": ("unknown", "dim")}
SEVERITIES = {
    "critical": ("bad", "CRITICAL", "bad"),
    "warning": ("warn", "WARNING", "warn"),
    "info": ("info", "info", "dim"),
}
CHANGES = {
    "pending": ("info", ""),
    "held": ("held", "held"),
    "applying": ("to", "key"),
    "applied": ("good", "ok"),
    "published": ("good", "ok"),
    "failed": ("bad", "bad"),
    "superseded": ("info", "dim"),
}
_STEPS = {"released": "Release", "paused": "Resume", "zone-error": "Sync"}
_BAD_EVENTS = frozenset({"frozen", "write-failed", "zone-error", "state-store", "resigned"})
_WARNING_EVENTS = frozenset({"held", "notice", "stall", "config-refused", "config-problem"})


def brief(seconds: float) -> str:
    """One unit is enough in a table: ``42s``, ``12m``, ``3h``, ``2d``."""
    whole = max(int(seconds), 0)
    if whole < 100:
        return f"{whole}s"
    if whole < 6000:
        return f"{whole // 60}m"
    return f"{whole // 3600}h" if whole < 172_800 else f"{whole // 86400}d"


class Rows:
    """Reads one picture; ``now_s``: the daemon's wall clock, by which ages are computed.
    ``per_agent``: whether each agent has a column of its own."""

    def __init__(self, picture: Picture, terminal: Terminal) -> None:
        self.picture = picture
        self.terminal = terminal
        self.now_s = 0.0
        self.per_agent = False
        self._events: dict[int, dict[str, Any]] = {}

    def mark(self, name: str) -> str:
        return self.terminal.mark(name)

    def since(self, then: str | None) -> str:
        return "-" if then is None else brief(self.now_s - from_time(then))

    # ---------------------------------------------------------------------------------------- now

    def attention(self, key: tuple[str, str]) -> messages.Attention | None:
        """The row of this kind and subject."""
        rows = self.picture.status["attention"]
        return next((row for row in rows if (row["kind"], row["subject"]) == key), None)

    def now(self, key: tuple[str, str]) -> Sequence[Span]:
        row = self.attention(key)
        if row is None:  # it went between two paints
            return ()
        mark, word, tone = SEVERITIES[row["severity"]]
        subject = self.subject_of(row)
        return (
            (f"{self.mark(mark)} {word}", tone),
            (plain(subject), "bold" if row["severity"] != "info" else ""),
            (plain(_without(subject, row["sentence"])), ""),
            (self.since(row["since"]), "dim"),
        )

    def subject_of(self, row: messages.Attention) -> str:
        """The id of a held change tells nobody anything; what it would change does."""
        held = self.picture.held_change(row["subject"])
        return row["subject"] if held is None else f"{held['name']} {held['type']}"

    def step_of(self, row: messages.Attention) -> str:
        """What ``x`` does about it here; "": nothing."""
        kind = row["kind"]
        if self.picture.held_change(row["subject"]) is not None:
            return "Decide"
        return "Clear" if kind.startswith("endless-") else _STEPS.get(kind, "")

    # --------------------------------------------------------------------------------- endpoints

    def endpoint(self, key: str | Key) -> Sequence[Span]:
        """A heading for a load balancer's name, a row for an endpoint's key."""
        if isinstance(key, str):
            balancer = self.picture.lbs.get(key)
            return () if balancer is None else self._heading(balancer)
        row = self.picture.find(key)
        return () if row is None else self._endpoint(key[0], row)

    def _heading(self, balancer: Balancer) -> Sequence[Span]:
        head = balancer.head
        mark, tone = {
            "healthy": ("good", "ok"),
            "degraded": ("warn", "warn"),
            "down": ("bad", "bad"),
        }.get(head["state"], ("unknown", "warn"))
        word = head["state"]
        if head["frozen"]:
            mark, tone, word = "bad", "bad", "frozen"  # type: ignore[assignment]
        votes = len(self.picture.agents) if self.per_agent else 1
        living, total = balancer.living_count, len(balancer.rows)
        published = head["published"]
        in_dns = "in DNS ?" if published is None else f"{len(published)} in DNS"
        return (
            (plain(balancer.name), "bold"),
            (f"{self.mark(mark)} {word}", tone),
            (f"{living}/{total}", "bold" if living == total else tone),
            *((("", ""),) * votes),
            (in_dns, "dim"),
            ("", ""),
        )

    def _endpoint(self, lb: str, row: Row) -> Sequence[Span]:
        mark, tone = VERDICTS[row.state]
        word: str = row.state
        if row.override is not None:
            mark, tone, word = "held", "held", FORCED[row.override["kind"]]
        fresh = len(row.votes) - row.votes.count("?")
        up = row.votes.count("u")
        return (
            (f"  {plain(self.named(row))}", ""),
            (f"{self.mark(mark)} {word}", tone),
            (f"{up}/{fresh}", "warn" if row.disputed or 2 * fresh <= len(row.votes) else "dim"),
            *self._votes(row),
            self.in_dns(lb, row),
            (self.since(row.since), "dim"),
        )

    def named(self, row: Row) -> str:
        """The monitor, and the address that it speaks for where that is another."""
        url, _, address = row.id.partition("=")
        return f"{address} {url}" if address else url

    def _votes(self, row: Row) -> Sequence[Span]:
        if not self.per_agent:
            tone = "bad" if "d" in row.votes else "dim"
            return (("".join(self.mark(VOTES[vote][0]) for vote in row.votes), tone),)
        words = {"u": "up", "d": "down", "?": "?"}
        return [
            (f"{self.mark(VOTES[v][0])} {words[v]}" if v != "?" else "?", VOTES[v][1])
            for v in row.votes
        ]

    def in_dns(self, lb: str, row: Row) -> Span:
        """Whether it is in DNS, and what is on its way."""
        word = "in" if row.published else "out"
        for change in self.picture.open_changes(lb):
            goes = row.address in change["before"] and row.address not in change["after"]
            comes = row.address in change["after"] and row.address not in change["before"]
            if change["state"] == "applied":
                continue  # it is done at the provider, and `published` says so
            if (goes and row.published) or (comes and not row.published):
                state = {"pending": "waits", "applying": "now"}.get(change["state"])
                to = self.mark("to")
                return f"{word} {to} {state or change['state']}", CHANGES[change["state"]][1]
        odd = row.published != (row.counts_as == "living") and row.counts_as != "unknown"
        return word, "warn" if odd else "dim"

    # ----------------------------------------------------------------------------------- members

    def member(self, key: str) -> Sequence[Span]:
        member = next((m for m in self.picture.members if m["id"] == key), None)
        if member is None:
            return ()
        own = next((m for m in self.picture.members if m["self"]), member)
        leads = member["role"] == "leader"
        heard = member["last_contact_seconds"]
        mark, word, tone = condition(member)
        behind = member["lag"]
        return (
            (plain(member["id"]), "bold" if leads else ""),
            (member["role"], "key" if leads else ""),
            (member["suffrage"], "" if member["suffrage"] == "voter" else "held"),
            (f"{self.mark(mark)} {word}", tone),
            ("-" if behind is None else f"{behind:,}", "warn" if (behind or 0) >= BEHIND_ENTRIES
             else "dim"),
            ("-" if heard is None else "now" if heard < 1 else brief(heard), "dim"),
            (plain(member["version"]), "dim" if member["version"] == own["version"] else "warn"),
            (plain(member["config_digest"][:8]),
             "dim" if member["config_digest"] == own["config_digest"] else "warn"),
            (plain(member["address"]) or "-", "dim"),
        )  # fmt: skip

    # ----------------------------------------------------------------------------------- changes

    def change(self, key: str) -> Sequence[Span]:
        change = next((c for c in self.picture.changes if c["id"] == key), None)
        if change is None:
            return ()
        mark, tone = CHANGES[change["state"]]
        return (
            (f"{self.mark(mark)} {change['state']}", tone),
            (f"{plain(change['name'])} {change['type']}", ""),
            (plain(difference(change)), tone if tone != "ok" else ""),
            self.when(change),
        )

    def when(self, change: messages.Change) -> Span:
        """What time has to do with it: how long it waits, or how long the truth took."""
        match change["state"]:
            case "held":
                return "waits for you", "held"
            case "pending" if change["not_before"]:
                return f"in {brief(from_time(change['not_before']) - self.now_s)}", ""
            case "published" if change["published_at"]:
                took = from_time(change["published_at"]) - from_time(change["created_at"])
                return f"{self.since(change['published_at'])} ago, in {took:.1f}s", "dim"
            case "applied" if change["applied_at"]:
                return f"{self.since(change['applied_at'])} ago", "dim"
            case _:
                return self.since(change["created_at"]), "dim"

    # ------------------------------------------------------------------------------------ events

    def event_of(self, key: int) -> dict[str, Any] | None:
        if key not in self._events:
            self._events = {event["seq"]: event for event in self.picture.events}
        return self._events.get(key)

    def event(self, key: int) -> Sequence[Span]:
        event = self.event_of(key)
        if event is None:
            return ()
        kind = str(event.get("kind", ""))
        tone = "bad" if kind in _BAD_EVENTS else "warn" if kind in _WARNING_EVENTS else ""
        return (
            (plain(str(event.get("at", ""))[11:19]), "dim"),
            (plain(kind), tone or "dim"),
            (plain(event.get("message", "")), tone),
        )

    def forget_events(self) -> None:
        """The numbers of another daemon's events mean others."""
        self._events = {}


def _without(subject: str, sentence: str) -> str:
    """The sentence beside its subject: a narrow column has no room to say it twice."""
    for lead in (f"{subject}: ", f"{subject} "):
        if sentence.startswith(lead):
            return sentence[len(lead) :]
    return sentence


def condition(member: messages.Member) -> tuple[str, str, str]:
    """A member's state as mark, word and tone."""
    if member["self"]:
        return "good", "here", "ok"
    reached = member.get("reached")  # a daemon of before does not say it
    if reached is None:
        return "unknown", "not seen", "dim"
    if not reached:
        return "bad", "lost", "bad"
    if (member["lag"] or 0) >= BEHIND_ENTRIES:
        return "warn", "catching up", "warn"
    return "good", "ok", "ok"


def is_lost(member: messages.Member) -> bool:
    return condition(member)[1] == "lost"


def is_unseen(member: messages.Member) -> bool:
    """Neither known to be reached nor to be lost: it counts as neither."""
    return condition(member)[1] == "not seen"


RowOf = Callable[[Any], Sequence[Span]]
