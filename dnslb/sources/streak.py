"""One endpoint's check results, in a row, to this agent's vote; pure.

    vote       good check                  bad check             check that proves nothing
    unknown    up (after down: `rise`)     `fall` in a row: down  unknown
    up         up                          `fall` in a row: down  unknown
    down       `rise` in a row: up         down                   unknown

Law: not knowing is not "down", and it forgives nothing: what was down when we lost sight of it
needs `rise` good checks as if we had seen it all the time.
"""

from __future__ import annotations

from dnslb.model.report import DOWN, UNKNOWN, UP


class Streak:
    """``vote`` is what this agent says of the endpoint now."""

    __slots__ = ("_bad", "_fall", "_good", "_rise", "_was_down", "vote")

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self._good = 0
        self._bad = 0
        self._was_down = False
        self.vote = UNKNOWN

    def good(self) -> None:
        self._bad = 0
        if self.vote == UP:
            return
        self._good += 1
        if not self._was_down or self._good >= self._rise:
            self.vote = UP
            self._was_down = False

    def bad(self) -> None:
        self._good = 0
        if self.vote == DOWN:
            return
        self._bad += 1
        if self._bad >= self._fall:
            self.vote = DOWN
            self._was_down = True

    def lost(self) -> None:
        """A check proved nothing, or none has ended for too long."""
        self._good = self._bad = 0
        self.vote = UNKNOWN

    @property
    def is_failing(self) -> bool:
        """Whether the last check was bad and the next one may make it "down"."""
        return self._bad > 0 and self.vote != DOWN
