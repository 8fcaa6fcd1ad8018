"""Fresh reports to verdicts: more than half of all configured agents must say so (`safety.md` 4.1).

Votes are one byte per monitor, so whole reports are added as big integers with one byte per lane:
10,000 endpoints of five agents cost some hundred microseconds and need no bookkeeping of what
changed. A lane cannot overflow, since fewer than 100 agents vote (`settings.AGENTS_MAX`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dnslb.model.report import DOWN, UNKNOWN, UP, VOTE_WORDS
from dnslb.model.verdict import Verdict

_IS_UP = bytes(vote == UP for vote in range(256))
_IS_DOWN = bytes(vote == DOWN for vote in range(256))


@dataclass(frozen=True, slots=True)
class Tally:
    """Per monitor, in the order of the list: the state (a vote byte) and both counts."""

    states: bytes = b""
    ups: bytes = b""
    downs: bytes = b""
    agents: int = 0

    def verdict(self, index: int) -> Verdict:
        ups, downs = self.ups[index], self.downs[index]
        state = VOTE_WORDS[self.states[index]]
        return Verdict(state, ups, downs, self.agents - ups - downs)

    def changed_since(self, older: Tally) -> Iterable[int]:
        """Indexes whose state or counts differ; all of them when the list is another one."""
        if len(older.states) != len(self.states) or older.agents != self.agents:
            return range(len(self.states))
        if older.ups == self.ups and older.downs == self.downs:
            return ()
        pairs = zip(self.ups, older.ups, self.downs, older.downs, strict=True)
        return [i for i, (a, b, c, d) in enumerate(pairs) if a != b or c != d]


def tally(votes: Iterable[bytes], size: int, agents: int) -> Tally:
    """``votes``: those of fresh agents only, each ``size`` bytes; ``agents``: all configured."""
    ups = downs = 0
    for one in votes:
        ups += int.from_bytes(one.translate(_IS_UP), "little")
        downs += int.from_bytes(one.translate(_IS_DOWN), "little")
    up_lanes, down_lanes = ups.to_bytes(size, "little"), downs.to_bytes(size, "little")
    says_up = bytes(UP if count * 2 > agents else UNKNOWN for count in range(256))
    says_down = bytes(DOWN if count * 2 > agents else UNKNOWN for count in range(256))
    up_states = int.from_bytes(up_lanes.translate(says_up), "little")
    down_states = int.from_bytes(down_lanes.translate(says_down), "little")
    states = (up_states | down_states).to_bytes(size, "little")
    return Tally(states, up_lanes, down_lanes, agents)
