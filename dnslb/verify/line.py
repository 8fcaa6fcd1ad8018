"""One server of one zone: what it was not seen to answer yet, and the rounds of asking it.

Not who else has to answer, nor what is told (`watch`).

Law: it is asked in rounds that grow in size only as long as it answers as expected: a server
that lags or is silent costs one question a round, however much is missing there. What lags goes
to the end, so that it never hides the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import trio

from dnslb.model.publication import Expected, Lag
from dnslb.model.rrset import RRsetKey
from dnslb.net.backoff import Backoff
from dnslb.verify.answer import Answer, Records, Silence, question
from dnslb.verify.exchange import Exchange, Server

BATCH_MAX = 8
BATCHES_MAX = 32
"""In one round, so that what is new is asked and what was seen is told meanwhile."""
UNHURRIED_S = 0.05
"""After a batch of what stood when the lease began: all of a large zone, and nobody waits."""
NAMES_TOLD_MAX = 3
ANSWER_S = (0.5, 1.0, 2.0)
"""How long an answer may take, by attempt: what was lost on the way is soon asked again."""
TOLD_AFTER_S = 1.0
"""A lag is worth a word from this age on; NOTIFY and a transfer take less."""
SLOW_S = 10.0
"""Between rounds at most, once everything that is missing is overdue."""
_PACE = Backoff(first_s=0.02, max_s=2.0, factor=1.5, jitter=0.2)


class Miss(NamedTuple):
    """What came instead of what is expected."""

    silent: bool
    sentence: str


class Line:
    """``missing``: what this server was not seen to answer, what is asked next first."""

    def __init__(self, zone: str, server: Server, exchange: Exchange) -> None:
        self.server = server
        self.missing: dict[RRsetKey, Expected] = {}
        self.attempt = 0
        self.unreachable: str | None = None
        self.news = trio.Event()
        self._zone = zone
        self._exchange = exchange
        self._misses: dict[RRsetKey, Miss] = {}
        self._last_miss = Miss(True, "was not asked yet")

    def expect(self, new: Mapping[RRsetKey, Expected], gone: set[RRsetKey]) -> None:
        """``new`` comes first: it has waited least, and may well be there already."""
        for key in gone:
            self.missing.pop(key, None)
            self._misses.pop(key, None)
        if new:
            old = {k: e for k, e in self.missing.items() if k not in new}
            self.missing = {**new, **old}
            for key in new:
                self._misses.pop(key, None)
            self.attempt = 0
            self.unreachable = None
            self.news.set()

    async def round(self) -> bool:
        """Asks for what is missing, as far as one round goes; whether all of it was there."""
        size, missed = 1, False
        for _ in range(BATCHES_MAX):
            asked = list(islice(self.missing.values(), size))
            if not asked or missed:
                break
            answers = await self._ask_all(asked)
            taken = [self._take(*pair) for pair in zip(asked, answers, strict=True)]
            missed = not all(taken)
            size = BATCH_MAX
            if all(expected.plan_id is None for expected in asked):
                with trio.move_on_after(UNHURRIED_S):
                    await self.news.wait()
        self.attempt = self.attempt + 1 if missed else 0
        return not missed

    def _take(self, expected: Expected, answer: Answer) -> bool:
        """Whether it is as expected, or something else is expected by now."""
        key = expected.key
        self.unreachable = None
        if self.missing.get(key) is not expected:
            return True
        if isinstance(answer, Records) and not answer.alias:
            if expected.is_met_by(answer.values, answer.ttl):
                del self.missing[key]
                self._misses.pop(key, None)
                return True
        elif isinstance(answer, Silence) and answer.unreachable:
            self.unreachable = answer.sentence
        self.missing[key] = self.missing.pop(key)
        silent = isinstance(answer, Silence)
        miss = Miss(silent, str(answer) if silent else f"{answer} for {key}")
        self._misses[key] = self._last_miss = miss
        return False

    async def _ask_all(self, asked: list[Expected]) -> list[Answer]:
        answers: dict[RRsetKey, Answer] = {}

        async def ask(expected: Expected) -> None:
            answers[expected.key] = await self._ask(expected)

        async with trio.open_nursery() as nursery:
            for expected in asked:
                nursery.start_soon(ask, expected)
        return [answers[expected.key] for expected in asked]

    async def _ask(self, expected: Expected) -> Answer:
        name, rtype = expected.key
        answer = await self._question(name, rtype)
        if expected.rrset is None and isinstance(answer, Records) and answer.values:
            return await self._without_wildcard(answer, name, rtype)
        return answer

    async def _without_wildcard(self, answer: Records, name: str, rtype: str) -> Answer:
        """Where a name is gone, a wildcard above may answer for it: then nothing is there."""
        while name != self._zone and "." in name:
            name = name.partition(".")[2]
            above = await self._question(f"*.{name}", rtype)
            if isinstance(above, Records) and frozenset(above.values) == frozenset(answer.values):
                return Records()
        return answer

    async def _question(self, name: str, rtype: str) -> Answer:
        limit_s = ANSWER_S[min(self.attempt, len(ANSWER_S) - 1)]
        return await self._exchange.ask(self.server, question(name, rtype), limit_s)

    def pause_s(self, mono: float, timeout_s: float, luck: float) -> float:
        """Until the next round, once something was missing in the last one."""
        newest_mono = max(expected.applied_mono for expected in self.missing.values())
        if mono - newest_mono >= timeout_s:
            return max(min(SLOW_S, timeout_s), _PACE.max_s)
        return _PACE.delay_s(max(self.attempt, 1), luck)

    def to_lag(self, mono: float, timeout_s: float) -> Lag | None:
        """None while there is nothing worth a word."""
        if not self.missing or not self._misses or self.unreachable is not None:
            return None
        oldest_s = mono - min(expected.applied_mono for expected in self.missing.values())
        if oldest_s < TOLD_AFTER_S:
            return None
        # Of the first one, so that the sentence stays; unless the server is another case by now.
        miss = self._misses[min(self._misses)]
        if miss.silent != self._last_miss.silent:
            miss = self._last_miss
        return Lag(
            server=str(self.server),
            silent=miss.silent,
            sentence=miss.sentence,
            names=tuple(str(key) for key in heapq.nsmallest(NAMES_TOLD_MAX, self.missing)),
            count=len(self.missing),
            since_wall=min(expected.applied_wall for expected in self.missing.values()),
            overdue=oldest_s >= timeout_s,
        )
