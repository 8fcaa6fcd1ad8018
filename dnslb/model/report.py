"""What one agent saw, positioned against the monitor list that it answers.

Votes are one byte per monitor: 10,000 endpoints of five agents are 50 KB, a comparison is one
``==``, and a tally is arithmetic on whole reports (`decide/tally.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dnslb.errors import InvalidValue
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.verdict import VerdictState

UNKNOWN, UP, DOWN = 0, 1, 2
VOTE_WORDS: tuple[VerdictState, ...] = ("unknown", "up", "down")
MESSAGE_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Report:
    """One agent's view at one moment.

    ``arrived_mono``, ``arrived_wall``: when we got it. ``age_s``: how old it already was then
    (a relayed report). ``sent_wall``: the sender's own ``Time``, where the way it came has one.
    ``stored``: found at a start or reconnect, not seen to change, so judged by ``sent_wall``
    alone. ``complete``: the agent has checked everything it was given at least once.
    """

    agent: str
    monitors: MonitorList
    votes: bytes
    arrived_mono: float
    arrived_wall: float
    messages: Mapping[int, str] = field(default_factory=dict)
    complete: bool = True
    age_s: float = 0.0
    sent_wall: float | None = None
    stored: bool = False
    via: str = ""

    def __post_init__(self) -> None:
        if len(self.votes) != len(self.monitors):
            raise InvalidValue(
                f"a report of {self.agent} has {len(self.votes)} votes "
                f"for {len(self.monitors)} monitors"
            )

    @property
    def seen_mono(self) -> float:
        """When the agent saw this, on our monotonic clock."""
        return self.arrived_mono - self.age_s


def bounded_message(text: str) -> str:
    """An agent's text made safe to keep and show: one line, printable, bounded."""
    line = "".join(c if c.isprintable() else " " for c in text[: MESSAGE_LENGTH_MAX * 2])
    line = " ".join(line.split())
    return line if len(line) <= MESSAGE_LENGTH_MAX else line[: MESSAGE_LENGTH_MAX - 1] + "…"
