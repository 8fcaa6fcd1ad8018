"""The lines above and below the panes: header, tabs, banner, keys.

Pure. The one word is `pages.summary_word`, the same that ``dnslbctl status`` begins with; only
that the picture is old is known here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnslb.api.codec import from_time, to_time
from dnslbctl.console.ink import Span
from dnslbctl.console.rows import Rows, brief, is_lost, is_unseen
from dnslbctl.output import cells_wide, plain, until
from dnslbctl.pages import summary_word

_TONES = {"HEALTHY": "ok", "DEGRADED": "warn", "PAUSED": "held", "NOTHING TO DO": "dim"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the picture is no longer kept, and how old it is; ``age_s`` None: there is none."""

    why: str
    age_s: float | None


def word(rows: Rows, trouble: Trouble | None) -> Span:
    """One word for everything."""
    if trouble is not None:
        return ("STALE" if rows.picture.known else "CONNECTING"), "bad"
    said, _ = summary_word(rows.picture.status)
    if said == "NEEDS YOU":
        severities = {row["severity"] for row in rows.picture.status["attention"]}
        return said, "bad" if "critical" in severities else "warn"
    return said, _TONES.get(said, "bad")


def header(rows: Rows, width: int) -> list[Span]:
    """What follows the word: who leads, what is borne, what is unusual; the least important
    is left out first."""
    if not rows.picture.known:
        return []
    status = rows.picture.status
    leader = status["leader"]
    parts: list[tuple[int, list[Span]]] = []
    if status["election"] == "singleton":
        parts.append((4, [("singleton", "dim")]))
    elif leader is None:
        parts.append((0, [("no leader", "bad")]))
    else:
        what = "leader " if status["election"] == "raft" else "holder "
        parts.append((0, [(what, "dim"), (plain(leader["id"]), "bold")]))
        if leader["id"] == status["instance_id"]:
            parts.append((1, [(" (here)", "dim")]))
    if status["election"] == "raft" and rows.picture.voters():
        parts += _voters(rows)
    if status["term"] is not None and status["election"] != "singleton":
        parts.append((3, [("term ", "dim"), (str(status["term"]), "")]))
    if status["dry_run"]:
        parts.append((0, [("DRY RUN", "held")]))
    if status["provider"] is None:
        parts.append((2, [("no provider", "warn")]))
    elif not status["fenced"]:
        parts.append((1, [("unfenced", "warn")]))
    parts.append((5, [(f"{plain(status['provider'] or '')} {plain(status['version'])}", "dim")]))
    parts.append((6, [(f"up {brief(_uptime_s(rows))}", "dim")]))
    while parts and _width(parts) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    spans: list[Span] = []
    for _, part in parts:
        spans += [*([] if _continues(part) else [("  ", "")]), *part]
    return spans


def _uptime_s(rows: Rows) -> float:
    """By the picture's clock: no delta is sent just because time goes by."""
    status = rows.picture.status
    return float(status["uptime_seconds"] + max(rows.now_s - from_time(status["at"]), 0.0))


def _continues(part: Sequence[Span]) -> bool:
    """Whether it is about what stands before it."""
    return part[0][0].startswith((",", " ("))


def _width(parts: Sequence[tuple[int, list[Span]]]) -> int:
    return sum(
        2 * (not _continues(part)) + sum(cells_wide(text) for text, _ in part) for _, part in parts
    )


def _voters(rows: Rows) -> list[tuple[int, list[Span]]]:
    voters = rows.picture.voters()
    lost = sum(map(is_lost, voters))
    unseen = sum(map(is_unseen, voters))
    spare = len(voters) - lost - unseen - (len(voters) // 2 + 1)
    tone = "bad" if spare + unseen < 0 else "warn" if spare <= 0 else ""
    reached = f"{len(voters) - lost - unseen}/{len(voters)}"
    bears = f", {spare} may be lost" if spare > 0 else ", none may be lost"
    if spare < 0:
        bears = ", no quorum" if spare + unseen < 0 else ", quorum not seen"
    seen = tone or ("warn" if lost or unseen else "")
    return [
        (0 if seen else 1, [("voters ", "dim"), (reached, seen)]),
        (4, [(bears, tone or "dim")]),
    ]


def name(rows: Rows) -> str:
    """The owner id, which all instances of an installation have in common, else the instance."""
    if not rows.picture.known:
        return ""
    status = rows.picture.status
    return plain(status["owner_id"] or status["instance_id"])


def clock(rows: Rows) -> str:
    return f"{to_time(rows.now_s)[11:19]}Z" if rows.picture.known else ""


def counts(rows: Rows) -> dict[str, tuple[str, Span]]:
    """For each pane a number, and what is wrong in it."""
    if not rows.picture.known:
        return {}
    picture, status = rows.picture, rows.picture.status
    urgent = sum(row["severity"] != "info" for row in status["attention"])
    worst = "bad" if any(r["severity"] == "critical" for r in status["attention"]) else "warn"
    endpoints = status["endpoints"]
    living, total = endpoints["living"], endpoints["total"]
    lost = sum(map(is_lost, picture.members))
    held = status["held_changes"]
    failed = sum(change["state"] == "failed" for change in picture.changes)
    stuck = f"{held} held" if held else f"{failed} failed" if failed else ""
    return {
        "now": ("", (str(urgent) if urgent else "", worst)),
        "endpoints": (f"{total:,}", (f"{living:,}/{total:,}" if living < total else "", "warn")),
        "members": (str(len(picture.members)), (f"{lost} lost" if lost else "", "bad")),
        "changes": (str(status["pending_changes"] or ""), (stuck, "held" if held else "bad")),
        "events": ("", ("", "")),
    }


def banner(rows: Rows, trouble: Trouble | None) -> Span | None:
    """What must not be overlooked, in one sentence."""
    if trouble is not None:
        why = plain(trouble.why)
        why += "" if why.endswith(("?", ".")) else "."
        if trouble.age_s is None:
            return f"NO CONNECTION: {why} Trying again.", "bad"
        age = brief(trouble.age_s)
        text = f"NO CONNECTION: {why} This was so {age} ago."
        return f"{text} Orders are off. Trying again.", "bad"
    status = rows.picture.status
    if status["role"] == "removed":
        return (
            "REMOVED: this instance was taken out of its cluster and knows nothing of it any more.",
            "bad",
        )
    if status["role"] == "dry-run":
        return "DRY RUN: this instance takes no part in its cluster and writes nothing.", "warn"
    if status["role"] == "waiting":
        info = next((a for a in status["attention"] if a["kind"] == "raft-waiting"), None)
        step = f" At {info['next'].removeprefix('at ')}" if info is not None else ""
        return (
            f"{plain(status['instance_id'])} waits to be added to a cluster.{plain(step)}",
            "warn",
        )
    if status["leader"] is None:
        return (
            "NO LEADER: nobody may write, and DNS stays as it is. Orders are refused.",
            "bad",
        )
    if status["pauses"]:
        pause = status["pauses"][0]
        scope = plain(pause["scope"]) or "ALL DNS CHANGES"
        ends = until(pause["expires_at"], rows.picture.at)
        more = f" (and {len(status['pauses']) - 1} more)" if len(status["pauses"]) > 1 else ""
        text = f"PAUSED: {scope} by {plain(pause['by'])}, {ends}: {plain(pause['reason'])}{more}."
        return f"{text} What fails now stays in DNS. p resumes.", "held"
    if status["gate"] and status["role"] == "leader":
        return f"Nothing is written yet: {plain(status['gate'])}", "warn"
    return None
