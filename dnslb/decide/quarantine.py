"""One name that the provider refuses does not hold up the others of its zone.

A plan that is refused as a whole does not say for whose sake: the next ones go out by halves until
one name is refused alone. That name stays aside and is tried again, alone and ever more slowly;
all others go on together. Not the back-off of a provider that is ill: that is the zone's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from dnslb.decide.backoff import Trouble, backoff_s, worse
from dnslb.model.instant import Now
from dnslb.model.outcome import Failure
from dnslb.model.plan import Change


class _Refused(NamedTuple):
    trouble: Trouble
    not_before_mono: float


class Quarantine:
    """Of one zone. ``_at_most``: how many names go out together while nobody knows whose fault it
    was that a plan of several was refused; else None."""

    def __init__(self) -> None:
        self._at_most: int | None = None
        self._refused: dict[str, _Refused] = {}

    def select(self, changes: Sequence[Change], now: Now) -> list[Change]:
        """Which of these go out now: what is not aside, together; else one that may be tried
        again, alone."""
        names = sorted({change.key.name for change in changes})
        self.keep(names)
        sound = [name for name in names if name not in self._refused]
        if len(sound) < 2:
            self._at_most = None
        due = [n for n, refused in self._refused.items() if refused.not_before_mono <= now.mono]
        chosen = sound[: self._at_most] or sorted(due)[:1]
        return [change for change in changes if change.key.name in chosen]

    def take_refusal(self, names: Collection[str], failure: Failure, now: Now) -> bool:
        """Says whether there is no reason to wait: it is known whose fault it was, or a search
        for it goes on."""
        if len(names) != 1:
            searching, self._at_most = self._at_most is not None, len(names) // 2
            return searching
        self._at_most = None
        (name,) = names
        before = self._refused.get(name)
        trouble = worse(before.trouble if before else None, failure, now)
        wait_s = backoff_s(trouble.failures, failure)
        self._refused[name] = _Refused(trouble, now.mono + wait_s)
        return True

    def take_success(self, names: Collection[str]) -> None:
        for name in names:
            self._refused.pop(name, None)

    def keep(self, names: Collection[str]) -> None:
        """What is wanted of the others no more is no trouble any more."""
        for name in self._refused.keys() - set(names):
            del self._refused[name]

    def retry(self) -> None:
        """A person asks to try again at once."""
        for name, refused in self._refused.items():
            self._refused[name] = refused._replace(not_before_mono=float("-inf"))

    def next_due(self, mono: float) -> float:
        """When the next one may be tried again."""
        due = [refused.not_before_mono for refused in self._refused.values()]
        return min((at for at in due if at > mono), default=float("inf"))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._refused))

    @property
    def trouble(self) -> Trouble | None:
        """The oldest one, and how many there are."""
        if not self._refused:
            return None
        name = min(self._refused, key=lambda name: (self._refused[name].trouble.since_wall, name))
        trouble = self._refused[name].trouble
        others = f" and {len(self._refused) - 1} more" if len(self._refused) > 1 else ""
        return replace(trouble, error=f"{name}{others}: {trouble.error}")
