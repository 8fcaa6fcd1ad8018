"""What each looking verb shows to people: answers of the daemon → lines of text.

Pure. Not the place of JSON: ``--json`` prints the answers as they came.

Law: what needs a person stands first, worst first, each with its next step.
"""

from __future__ import annotations

from dnslbctl.output import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    WARN,
    clock,
    count,
    duration,
    milliseconds,
    paragraph,
    plain,
    since,
    table,
    until,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Sequence

    from dnslb.api import messages
    from dnslbctl.output import Cell, Terminal

_SEVERITY = {
    "critical": ("bad", "CRITICAL", BAD),
    "warning": ("warn", "WARNING", WARN),
    "info": ("info", "INFO", ""),
}
STATES = {
    "healthy": ("good", GOOD),
    "degraded": ("warn", WARN),
    "down": ("bad", BAD),
    "up": ("good", GOOD),
    "unknown": ("unknown", WARN),
}
_CHANGES = {
    "pending": ("info", ""),
    "held": ("held", WARN),
    "applying": ("info", ""),
    "applied": ("good", ""),
    "published": ("good", GOOD),
    "failed": ("bad", BAD),
    "superseded": ("info", DIM),
}
_SHOWN_ELSEWHERE = frozenset({"degraded", "paused", "dry-run"})
FORCED = {"drain": "drained", "force-up": "forced up", "force-down": "forced down"}


def summary_word(status: messages.Status) -> tuple[str, str]:
    """One word for everything, and how to paint it."""
    severities = {row["severity"] for row in status["attention"]}
    if status["role"] == "removed":
        return "REMOVED", BAD
    if status["role"] == "dry-run":
        return "DRY RUN", WARN
    if status["leader"] is None:
        return "NO LEADER", BAD
    if status["stale"]:
        return "STALE", BAD
    if "critical" in severities:
        return "NEEDS YOU", BAD
    if status["paused"]:
        return "PAUSED", WARN
    if "warning" in severities:
        return "NEEDS YOU", WARN
    lbs = status["loadbalancers"]
    if lbs["healthy"] < lbs["total"]:
        return "DEGRADED", WARN
    return ("HEALTHY", GOOD) if lbs["total"] else ("NOTHING TO DO", "")


def status_page(status: messages.Status, terminal: Terminal) -> list[str]:
    """What needs a person, then what there is."""
    at = status["at"]
    lines = [*_status_head(status, terminal), ""]
    urgent = [row for row in status["attention"] if row["severity"] != "info"]
    if urgent:
        lines += [*attention_rows(urgent, at, terminal), ""]
    rows: list[Sequence[Cell]] = [_loadbalancer_counts(status)]
    if (endpoints := status["endpoints"])["total"]:
        living, total = endpoints["living"], endpoints["total"]
        rows.append(("endpoints", f"{living:,} of {total:,} living, {_in_dns(status)}"))
    rows.append(("agents", *_agents(status["agents"])))
    rows.append(("changes", *_changes_summary(status)))
    rows += [
        ("zone", _zone(zone, at, status["pending_changes"] > 0)) for zone in status["zones"][:20]
    ]
    if status["gate"] and status["role"] == "leader":
        rows.append(("gate", (f"nothing is written yet: {status['gate']}", WARN)))
    rows += [("also", row["sentence"]) for row in status["attention"] if _is_news(row)]
    lines += table(("", ""), rows, terminal)
    if status["troubled"]:
        lines += ["", *_troubled(status, terminal)]
    return lines


def _in_dns(status: messages.Status) -> str:
    """What is not known is not called zero."""
    unread, names = status["unread_names"], status["loadbalancers"]["total"]
    if status["provider"] is None:
        return "nothing is published"
    if unread == names:
        return "what is in DNS is not known yet"
    published = f"{count(status['published_addresses'], 'address', 'addresses')} in DNS"
    return f"{published}; {count(unread, 'name')} not read yet" if unread else published


def _is_news(row: messages.Attention) -> bool:
    """Information that stands nowhere else on the page."""
    return row["severity"] == "info" and row["kind"] not in _SHOWN_ELSEWHERE


def check_page(status: messages.Status, terminal: Terminal) -> list[str]:
    """``status --check``: only what needs a person."""
    rows = [row for row in status["attention"] if row["severity"] != "info"]
    if not rows:
        return [f"{terminal.mark('good')} nothing needs a person"]
    return attention_rows(rows, status["at"], terminal)


def _status_head(status: messages.Status, terminal: Terminal) -> list[str]:
    word, style = summary_word(status)
    dot = f" {terminal.mark('dot')} "
    name = f"dnslb {plain(status['instance_id'])}"
    first = f"{terminal.paint(name, BOLD)}  {terminal.paint(f'[{word}]', style)}"
    parts = [f"{status['election']} {status['role']}"]
    leader = status["leader"]
    if leader and leader["id"] != status["instance_id"]:
        where = f" at {leader['address']}" if leader["address"] else ""
        parts.append(f"leader {leader['id']}{where}")
    if status["term"] is not None and status["election"] != "singleton":
        parts.append(f"term {status['term']}")
    provider = status["provider"] or "no provider"
    fenced = "fenced" if status["fenced"] else "unfenced"
    parts.append(f"{provider}, {fenced}" if status["provider"] else provider)
    if status["owner_id"]:
        parts.append(f"owner {status['owner_id']}")
    parts += [
        f"port {status['port']}",
        f"up {duration(status['uptime_seconds'])}",
        f"version {status['version']}",
        clock(status["at"], status["at"]),
    ]
    lines = [first, *paragraph(dot.join(parts), terminal)]
    if status["dry_run"]:
        sentence = "DRY RUN: nothing is written to DNS."
        lines.append(terminal.paint(sentence, WARN))
    for pause in status["pauses"]:
        what = plain(pause["scope"]) or "all DNS changes"
        ends = until(pause["expires_at"], status["at"])
        who = f"by {plain(pause['by'])}, {ends}: {plain(pause['reason'])}"
        lines += paragraph(f"PAUSED: {what}, {who}", terminal)
    return lines


def attention_rows(rows: Sequence[messages.Attention], at: str, terminal: Terminal) -> list[str]:
    """Each as what it is, since when, the sentence, and the next step."""
    lines: list[str] = []
    for row in rows:
        mark, word, style = _SEVERITY[row["severity"]]
        head = terminal.paint(f"{terminal.mark(mark)} {word}", style)
        subject = terminal.paint(plain(row["subject"]), BOLD)
        lines.append(f"{head}  {subject}  {plain(row['kind'])}, for {since(row['since'], at)}")
        lines += paragraph(row["sentence"], terminal, 4)
        if row["next"]:
            lines += paragraph(row["next"], terminal, 12, f"    {terminal.mark('to'):<2}next: ")
    return lines


def _loadbalancer_counts(status: messages.Status) -> tuple[Cell, Cell]:
    lbs = status["loadbalancers"]
    if not lbs["total"]:
        return "names", "no load balancer is configured: there is nothing to publish"
    kinds = ("healthy", "degraded", "down", "unknown")
    parts = [f"{lbs[k]:,} {k}" for k in kinds if lbs[k]]  # type: ignore[literal-required]
    return "names", f"{lbs['total']:,}: {', '.join(parts)}"


def _agents(agents: Sequence[messages.Agent]) -> tuple[Cell]:
    if not agents:
        return (("no agent is configured: nobody votes", WARN),)
    silent = [agent for agent in agents if not agent["fresh"]]
    suspect = [agent for agent in agents if agent["suspect"]]
    text = f"{len(agents) - len(silent)} of {len(agents)} report"
    for agent in silent:
        age_s = agent["age_seconds"]
        how_long = "never heard" if age_s is None else f"silent for {duration(age_s)}"
        text += f"; {agent['name']} {how_long}"
    for agent in suspect:
        text += f"; {agent['name']} is suspect"
    return ((text, WARN if silent or suspect else ""),)


def _changes_summary(status: messages.Status) -> tuple[Cell]:
    pending, held = status["pending_changes"], status["held_changes"]
    if not pending and not held:
        return ("none waiting",)
    text = f"{pending:,} pending, {held:,} held"
    return ((f"{text}: dnslbctl changes" if held else text, WARN if held else ""),)


def _zone(zone: messages.Zone, at: str, waits: bool) -> Cell:
    """``waits``: something is to be written, so what stands in its way matters."""
    if zone["last_read_at"]:
        text = f"{zone['name']}, read {since(zone['last_read_at'], at)} ago"
    else:
        text = f"{zone['name']}, not read yet"
    if zone["last_success_at"]:
        text += f", last written {since(zone['last_success_at'], at)} ago"
    if zone["in_flight"]:
        text += ", a write is under way"
    if zone["error"]:
        text += f"; failed {count(zone['failures'], 'time')}: {zone['error']}"
    if zone["blocked"] and (waits or zone["error"]):
        text += f"; not written now: {zone['blocked']}"
    for lag in zone["lagging"]:
        text += f"; {lag['server']} lags for {since(lag['since'], at)}"
    overdue = any(lag["overdue"] for lag in zone["lagging"])
    return text, WARN if zone["error"] or overdue else ""


def _troubled(status: messages.Status, terminal: Terminal) -> list[str]:
    rows: list[Sequence[Cell]] = []
    for lb in status["troubled"]:
        mark, style = STATES[lb["state"]]
        endpoints = lb["endpoints"]
        known = lb["published"] is not None
        rows.append((
            lb["name"],
            (f"{terminal.mark(mark)} {lb['state']}", style),
            f"{endpoints['living']} of {endpoints['total']}",
            str(len(lb["published"] or ())) if known else "?",
            lb["frozen"] or lb["sentence"],
        ))  # fmt: skip
    lines = table(("NAME", "STATE", "LIVING", "IN DNS", "WHY"), rows, terminal)
    lbs = status["loadbalancers"]
    if (more := lbs["total"] - lbs["healthy"] - len(rows)) > 0:
        lines.append(f"and {more:,} more that are not healthy")
    return lines


def members_page(members: Sequence[messages.Member], terminal: Terminal) -> list[str]:
    rows = [
        (
            f"{member['id']} (here)" if member["self"] else member["id"],
            member["role"],
            member["suffrage"],
            "-" if member["self"] else _heard(member),
            "-" if member["lag"] is None else f"{member['lag']:,}",
            member["version"],
            member["config_digest"][:8],
            member["address"],
        )
        for member in members
    ]
    header = ("MEMBER", "ROLE", "SUFFRAGE", "HEARD", "BEHIND", "VERSION", "CONFIG", "ADDRESS")
    return table(header, rows, terminal, right=(3, 4))


def _heard(member: messages.Member) -> Cell:
    reached = member.get("reached", True)  # a daemon of before does not say it
    heard = "not seen" if reached is None else duration(member["last_contact_seconds"])
    return (f"{heard}, lost", BAD) if reached is False else heard


def endpoints_page(
    endpoints: Sequence[messages.Endpoint], at: str, terminal: Terminal
) -> list[str]:
    """One table, a heading line for each load balancer."""
    if not endpoints:
        return ["no endpoint is configured"]
    rows: list[Sequence[Cell]] = []
    # One table, so that columns stand below each other across load balancers.
    last = ""
    for endpoint in endpoints:
        if endpoint["lb"] != last:
            last = endpoint["lb"]
            rows.append(((last, BOLD), "", "", "", "", "", ""))
        rows.append(_endpoint_row(endpoint, at, terminal))
    header = ("ENDPOINT", "STATE", "IN DNS", "VOTES", "TRIP", "FOR", "WHY")
    return table(header, rows, terminal, right=(4,), optional=4)


def _endpoint_row(endpoint: messages.Endpoint, at: str, terminal: Terminal) -> Sequence[Cell]:
    mark, style = STATES[endpoint["state"]]
    word: str = endpoint["state"]
    if endpoint["override"]:
        word = FORCED[endpoint["override"]["kind"]]
        mark, style = "info", WARN
    expected = endpoint["counts_as"] == "living"
    odd = endpoint["published"] != expected and endpoint["counts_as"] != "unknown"
    where = named(endpoint, terminal)
    trips = [milliseconds(v.get("round_trip_seconds")) for v in endpoint["votes"].values()]
    # What is as it should be needs no reason; whoever wants it asks `why`.
    ordinary = endpoint["published"] and expected and endpoint["state"] == "up" and mark == "good"
    return (
        f"  {where}",
        (f"{terminal.mark(mark)} {word}", style),
        ("yes" if endpoint["published"] else "no", WARN if odd else ""),
        votes_of(endpoint),
        "".join(trips),  # one agent's at most
        since(endpoint["since"], at),
        "" if ordinary else endpoint["reason"],
    )


def named(endpoint: messages.Endpoint, terminal: Terminal) -> str:
    """The monitor, and what it speaks for where that is another address."""
    url, address = endpoint["endpoint"], endpoint["address"]
    if f"://{address}:" in url or f"://[{address}]:" in url:
        return url
    return f"{url} {terminal.mark('to')} {address}"


def votes_of(endpoint: messages.Endpoint) -> str:
    """``3 up``, ``2 up 1 down``, ``1 down 2 ?``."""
    votes = [vote["vote"] for vote in endpoint["votes"].values()]
    parts = [
        f"{votes.count('up')} up",
        f"{votes.count('down')} down",
        f"{votes.count('unknown')} ?",
    ]
    return " ".join(part for part in parts if not part.startswith("0 ")) or "none"


def changes_page(changes: Sequence[messages.Change], at: str, terminal: Terminal) -> list[str]:
    if not changes:
        return ["no change is under way, and none was made in the last hour"]
    rows = []
    for change in changes:
        mark, style = _CHANGES[change["state"]]
        rows.append((
            change["id"],
            (f"{terminal.mark(mark)} {change['state']}", style),
            since(change["created_at"], at),
            f"{change['name']} {change['type']}",
            difference(change),
            _change_note(change, at),
        ))  # fmt: skip
    return table(("ID", "STATE", "AGE", "RECORD", "CHANGE", "WHY"), rows, terminal, right=(2,))


def difference(change: messages.Change) -> str:
    """``-192.0.2.2 +192.0.2.3``; beyond four addresses only how many."""
    before, after = set(change["before"]), set(change["after"])
    gone = [v for v in change["before"] if v not in after]
    come = [v for v in change["after"] if v not in before]
    if not gone and not come:
        return f"ttl {change['ttl']}"
    parts = [f"-{v}" for v in gone] + [f"+{v}" for v in come]
    if len(parts) > 4:
        parts = [f"-{len(gone)}"] * bool(gone) + [f"+{len(come)}"] * bool(come)
        parts.append("addresses")
    return " ".join(parts)


def _change_note(change: messages.Change, at: str) -> str:
    notes = [change["reason"]]
    if change["error"]:
        notes.append(f"failed {count(change['attempts'], 'time')}: {change['error']}")
    if change["state"] == "held":
        notes.append(f"dnslbctl approve {change['id']} lets it go out, drop gives it up")
    elif change["not_before"] and change["state"] == "pending":
        notes.append(f"not before {clock(change['not_before'], at)}")
    if done_at := change["published_at"] or change["applied_at"]:
        notes.append(f"{change['state']} at {clock(done_at, at)}")
    return "; ".join(notes)


def orders_page(orders: Sequence[messages.StandingOrder], at: str, terminal: Terminal) -> list[str]:
    if not orders:
        return ["nothing is overridden, paused, approved or dropped"]
    rows = [
        (
            order["kind"],
            order["subject"],
            order["lb"] or "",
            order["by"],
            until(order["expires_at"], at),
            order["reason"],
        )
        for order in orders
    ]
    return table(("ORDER", "SUBJECT", "NAME", "BY", "HOLDS", "REASON"), rows, terminal)


def event_line(event: dict[str, object], at: str, terminal: Terminal) -> str:
    """``03:12:00Z  verdict  www.example.org: ...``."""
    when = terminal.paint(clock(str(event.get("at", "")), at), DIM)
    return f"{when}  {plain(event.get('kind', '')):<12}  {plain(event.get('message', ''))}"
