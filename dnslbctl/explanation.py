"""What ``dnslbctl why NAME`` shows: published, wanted, the rule, and every vote behind it.

Pure. It explains what the daemon decided and decides nothing itself.

Law: it reads from the answer to the evidence: first what is in DNS and why, then who said what.
"""

from __future__ import annotations

from dnslbctl.output import (
    BAD,
    BOLD,
    DIM,
    WARN,
    addresses,
    clock,
    duration,
    milliseconds,
    paragraph,
    plain,
    since,
    table,
    until,
)
from dnslbctl.pages import FORCED, STATES, changes_page, named

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Sequence

    from dnslb.api import messages
    from dnslbctl.output import Cell, Terminal

_COUNTS = {
    "living": "counts as living",
    "dead": "counts as dead",
    "unknown": "not decided, so it stays as it is",
    "drained": "drained",
}
_HISTORY_MAX = 8


def why_page(why: messages.Why, now: str, terminal: Terminal) -> list[str]:
    """``now``: the daemon's clock; ``why["at"]`` may be a moment in the past."""
    past = not why["endpoints"]
    name = terminal.paint(plain(why["name"]), BOLD)
    if past:
        lines = [f"{name}  as it was at {clock(why['at'], now)}"]
    else:
        mark, style = STATES[why["state"]]
        state = terminal.paint(f"[{terminal.mark(mark)} {why['state']}]", style)
        lines = [f"{name}  {state}  at {clock(why['at'], now)}"]
    lines += paragraph(_capital(why["sentence"]), terminal)
    if why["frozen"]:
        frozen = f"FROZEN, since its evaluation failed: {plain(why['frozen'])}"
        lines += [terminal.paint(line, BAD) for line in paragraph(frozen, terminal)]
    lines.append("")
    published, desired = why["published"], why["desired"]
    rows: list[Sequence[Cell]] = [
        ("in DNS", addresses(published)),
        ("wanted", _wanted(published, desired)),
        ("rule", why["rule"]),
        ("zone", why["zone"] or ("none was found yet", WARN)),
    ]
    if why["plan_id"]:
        term = "" if why["term"] is None else f" under term {why['term']}"
        rows.append(("plan", f"{why['plan_id']}{term}"))
    if why["gate"]:
        rows.append(("gate", (f"nothing is written yet: {why['gate']}", WARN)))
    for pause in why["pauses"]:
        scope = pause["scope"] or "all DNS changes"
        ends = until(pause["expires_at"], now)
        rows.append(("paused", (f"{scope} by {pause['by']}, {ends}: {pause['reason']}", WARN)))
    lines += table(("", ""), rows, terminal)
    for endpoint in why["endpoints"]:
        lines += ["", *_endpoint(endpoint, why["at"], terminal)]
    if past:
        lines += ["", "The votes of that moment are not kept; see dnslbctl events for its time."]
    if why["changes"]:
        lines += ["", terminal.paint("changes", BOLD)]
        lines += changes_page(why["changes"], now, terminal)
    if why["history"]:
        lines += ["", terminal.paint("earlier decisions, newest first", BOLD)]
        earlier = [
            (clock(one["at"], now), f"{one['sentence']} (wanted: {addresses(one['desired'])})")
            for one in reversed(why["history"][-_HISTORY_MAX:])
        ]
        lines += table(("", ""), earlier, terminal, indent=2)
    return lines


def _wanted(published: list[str] | None, desired: list[str]) -> Cell:
    text = addresses(desired)
    if published is None:
        return text
    if sorted(published) == sorted(desired):
        return f"{text} (as it is)"
    gone = [f"-{v}" for v in published if v not in desired]
    come = [f"+{v}" for v in desired if v not in published]
    return f"{text} ({' '.join([*gone, *come])})", WARN


def _endpoint(endpoint: messages.Endpoint, at: str, terminal: Terminal) -> list[str]:
    mark, style = STATES[endpoint["state"]]
    name = plain(named(endpoint, terminal))
    verdict = terminal.paint(f"{terminal.mark(mark)} {endpoint['state']}", style)
    where = "in DNS" if endpoint["published"] else "not in DNS"
    held = f"{since(endpoint['since'], at)}, {_COUNTS[endpoint['counts_as']]}, {where}"
    lines = [f"{terminal.paint(name, BOLD)}  {verdict} for {held}"]
    lines += paragraph(_capital(endpoint["reason"]), terminal, 2)
    if override := endpoint["override"]:
        said = (
            f"{_capital(FORCED[override['kind']])} {until(override['expires_at'], at)}; "
            f"dnslbctl --lb {endpoint['lb']} clear {endpoint['endpoint']} ends that"
        )
        lines += [terminal.paint(line, WARN) for line in paragraph(said, terminal, 2)]
    rows = []
    for agent, vote in endpoint["votes"].items():
        vote_mark, vote_style = STATES[vote["vote"]]
        age = vote["age_seconds"]
        heard = "never heard" if age is None else f"{duration(age)} ago"
        rows.append((
            agent,
            (f"{terminal.mark(vote_mark)} {vote['vote']}", vote_style),
            (heard, DIM),
            (milliseconds(vote.get("round_trip_seconds")), DIM),
            vote["message"],
        ))  # fmt: skip
    if rows:
        lines += table(("",) * 5, rows, terminal, indent=4, right=(3,), optional=3)
    return lines


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
