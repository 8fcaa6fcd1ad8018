"""The columns of the five panes, and which of them a narrow one does without.

Pure. What stands in them is `rows`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnslbctl.console.rows import Rows

AGENT_COLUMNS_MAX = 8


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` in cells; 0: a share of what is left, by ``weight``. ``drop``: where there is
    no room, the highest number goes first; 0 never goes."""

    title: str
    width: int = 0
    drop: int = 0
    right: bool = False
    weight: int = 1


def columns(pane: str, rows: Rows, width: int) -> Sequence[Column]:
    """What fits into ``width`` cells; for the endpoints it decides whether each agent gets a
    column of its own."""
    match pane:
        case "now":
            return (
                Column("what", 10),
                Column("subject", 20),
                Column("why", 0),
                Column("for", 4, 1, True),
            )
        case "endpoints":
            return _endpoint_columns(rows, width)
        case "members":
            return _MEMBERS
        case "changes":
            wide = Column("record", 0, weight=2) if width >= 100 else Column("record", 20)
            return (Column("state", 12), wide, Column("change", 0, weight=3), Column("when", 16, 1))
        case _:
            return (Column("utc", 8), Column("kind", 11, 1), Column("event", 0))


_MEMBERS = (
    Column("member", 0),
    Column("role", 9),
    Column("suffrage", 8, 3),
    Column("state", 13),
    Column("behind", 6, 1, True),
    Column("heard", 5, 2, True),
    Column("version", 7, 4),
    Column("config", 8, 5),
    Column("address", 21, 6),
)


def _endpoint_columns(rows: Rows, width: int) -> Sequence[Column]:
    agents = [agent["name"] for agent in rows.picture.agents]
    rows.per_agent = len(agents) <= AGENT_COLUMNS_MAX and width >= 74 + 9 * len(agents)
    if rows.per_agent:
        heads = [_head(name, agents) for name in agents]
        votes = [Column(head, max(len(head), 6)) for head in heads]
    elif len(agents) == 1:  # its last letter would tell it from nobody
        votes = [Column("vote", 4)]
    else:
        initials = "".join(name[-1] for name in agents)
        votes = [Column(initials if _distinct(initials) else "votes"[: len(agents)], len(agents))]
    return (
        Column("endpoint", 0),
        Column("state", 13),
        Column("up", 5, 0, True),
        *votes,
        Column("dns", 11),
        Column("for", 4, 1, True),
    )


def _head(name: str, agents: Sequence[str]) -> str:
    """Nine cells by which an agent is told from the others: names often begin alike, so its end
    where its beginning is another's too."""
    alike = sum(other[:9] == name[:9] for other in agents) > 1
    return name[-9:] if alike else name[:9]


def _distinct(letters: str) -> bool:
    return len({*letters}) == len(letters)
