"""One upstream and how it stands: which list it announced, and what it was told last.

Not a loop: `dnslb.agent.agent` decides when to synchronise and when to post.

Law: statuses go out in the form and order of the list that this very upstream announced.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import trio

from dnslb.agent.upstream import Answer, Upstream, UpstreamError
from dnslb.errors import SourceError
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import UNKNOWN, Report
from dnslb.net.backoff import Backoff
from dnslb.sources.healthd_codec import Announced, read_monitors, write_statuses

log = logging.getLogger(__name__)

NEVER = math.inf
BACKOFF = Backoff(first_s=0.5, max_s=10.0)
PROBLEMS_NAMED_MAX = 5
READ_AT_ONCE_BYTES_MAX = 64 * 1024
"""A longer list is read in a thread, so that checks go on meanwhile."""


class _View(NamedTuple):
    """What a report says of one upstream's monitors. ``complete``: each was checked."""

    votes: bytes
    complete: bool


class Link:
    """Keeps what belongs together: the upstream, its list, the votes it last took.

    ``sync_at_mono``, ``post_at_mono``: when the next fetch, or the next post of the same, is due.
    """

    def __init__(self, upstream: Upstream, *, interval_s: float) -> None:
        self.upstream = upstream
        self.announced: Announced | None = None
        self.sync_at_mono = 0.0
        self.post_at_mono = NEVER
        self.posts = 0
        """How many posts it has taken."""
        self._interval_s = interval_s
        self._answer: Answer | None = None
        self._posted: _View | None = None
        self._translation: tuple[MonitorList, MonitorList, list[int | None]] | None = None
        self._failures: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.upstream.name

    def described(self) -> str | None:
        """How it stands, in one line; None when it was never asked for anything."""
        for failure in self._failures.values():
            return failure
        if self.announced is None:
            return None
        told = "told of" if self.posts else "not told yet of"
        return f"{self.name}: {told} {len(self.announced.monitors)} monitors"

    async def sync(self) -> bool:
        """Fetches the list; whether it is another than before. Raises `UpstreamError`."""
        with self._noted("the list"):
            return await self._sync()

    async def _sync(self) -> bool:
        answer = await self.upstream.fetch()
        if answer == self._answer:
            return False
        read = partial(read_monitors, answer.body, rich=answer.rich, interval_s=self._interval_s)
        try:
            if len(answer.body) <= READ_AT_ONCE_BYTES_MAX:
                announced = read()
            else:
                announced = await trio.to_thread.run_sync(read)
        except SourceError as error:
            sentence = f"{self.name}: the list cannot be read: {error}"
            raise UpstreamError(sentence, reached=True) from error
        self._answer = answer
        self._posted = None
        if self.announced is not None and announced.monitors == self.announced.monitors:
            # The same object means that nothing changed for those who check.
            announced = replace(announced, monitors=self.announced.monitors)
        self.announced = announced
        form = "rich" if announced.rich else "plain"
        log.info("%s announces %d monitors (%s list)", self.name, len(announced.monitors), form)
        for problem in announced.problems[:PROBLEMS_NAMED_MAX]:
            log.warning("%s: %s", self.name, problem)
        if (more := len(announced.problems) - PROBLEMS_NAMED_MAX) > 0:
            log.warning("%s: %d more monitors are not checked", self.name, more)
        return True

    def is_news(self, report: Report | None) -> bool:
        """Whether the report says anything that this upstream does not know yet."""
        if self.announced is None or report is None:
            return False
        seen = self._view(self.announced, report)
        known = self._posted or _View(bytes(len(self.announced.monitors)), seen.complete)
        return seen != known

    async def post(self, report: Report | None) -> None:
        """Tells the upstream everything, blank where nothing was checked yet.

        Raises `UpstreamError`.
        """
        announced = self.announced
        assert announced is not None
        view, messages = _View(bytes(len(announced.monitors)), False), {}
        if report is not None:
            view = self._view(announced, report)
            said = report.messages
            index = self._indices(announced, report)
            messages = {i: said[j] for i, j in enumerate(index) if j is not None and j in said}
        posted = self._posted
        changed = set()
        if posted is not None and posted.votes != view.votes:
            pairs = zip(view.votes, posted.votes, strict=True)
            changed = {i for i, (vote, before) in enumerate(pairs) if vote != before}
        body = write_statuses(
            announced, view.votes, messages, changed=changed, complete=view.complete
        )
        with self._noted("posting"):
            await self.upstream.post(body, rich=announced.rich)
        self._posted = view
        self.posts += 1
        log.debug("%s took %d statuses, %d changed", self.name, len(view.votes), len(changed))

    @contextlib.contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        """Names in the log what fails, once for each kind of failure, and that it works again."""
        try:
            yield
        except UpstreamError as error:
            if self._failures.get(what) != str(error):
                log.warning("%s", error)
            self._failures[what] = str(error)
            raise
        if self._failures.pop(what, None) is not None:
            log.info("%s: %s works again", self.name, what)

    def _view(self, announced: Announced, report: Report) -> _View:
        if report.monitors is announced.monitors:
            return _View(report.votes, report.complete)
        votes = report.votes
        index = self._indices(announced, report)
        return _View(
            bytes([UNKNOWN if j is None else votes[j] for j in index]),
            report.complete and None not in index,
        )

    def _indices(self, announced: Announced, report: Report) -> list[int | None]:
        """Where in the report each monitor of the list is to be found."""
        known = self._translation
        if known is None or known[0] is not report.monitors or known[1] is not announced.monitors:
            index_of = report.monitors.index_of
            indices = [index_of.get(monitor) for monitor in announced.monitors.monitors]
            known = self._translation = (report.monitors, announced.monitors, indices)
        return known[2]
