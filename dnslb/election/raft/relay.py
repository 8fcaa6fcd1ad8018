"""Reports handed from member to member, so that whoever takes over knows at once who lives.

Not a judge of reports. Each member hands on what reached it directly, and nothing that another
member handed to it. Implements `dnslb.ports.source.Source` for what the others hand over.

Law (`safety.md` 4.2, 5.6): a report carries its age, never an instant; what cannot be read against
our own list of monitors says nothing about it. What is lost on the way is not repaired: the next
report is on its way already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from dnslb.election.raft.asides import TOLD_MESSAGES_MAX, Aside, Handed, Monitors
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import UNKNOWN, VOTE_WORDS, Report, bounded_message
from dnslb.net.clock import Clock
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched

AGENTS_MAX = 256
VIA = "member "


@dataclass(eq=False)
class _Peer:
    """``said``: the list that we told it last; ``ids``: the one that it told us, and where each of
    ours stands in that."""

    said: MonitorList | None = None
    ids: tuple[str, ...] = ()
    places: tuple[int | None, ...] | None = None
    placed: MonitorList | None = None


@dataclass(eq=False)
class Relay:
    """``send`` is at once or never."""

    clock: Clock
    send: Callable[[str, Aside], None]
    _peers: dict[str, _Peer] = field(default_factory=dict)
    _newest: dict[str, Report] = field(default_factory=dict)
    _arrived: dict[str, Report] = field(default_factory=dict)
    _heard: dict[str, Report] = field(default_factory=dict)
    _filled: trio.Event = field(default_factory=trio.Event)
    _monitors: Watched[MonitorList] | None = None

    # ------------------------------------------------------------------------------ handing on

    def connected(self, peer: str) -> None:
        """Who is new is told the newest of each agent at once."""
        self._peers[peer] = _Peer()
        for report in self._newest.values():
            self._hand(peer, report)

    def disconnected(self, peer: str) -> None:
        self._peers.pop(peer, None)

    def hand_on(self, report: Report) -> None:
        """A report that reached this member; to all others, unless one of them handed it over, or
        they can find it where we did."""
        if report.via.startswith(VIA) or report.stored:
            return
        if report.agent not in self._newest and len(self._newest) >= AGENTS_MAX:
            return
        self._newest[report.agent] = report
        for peer in self._peers:
            self._hand(peer, report)

    def _hand(self, peer: str, report: Report) -> None:
        one = self._peers[peer]
        if one.said is not report.monitors:
            one.said = report.monitors
            self.send(peer, Monitors(tuple(monitor.id for monitor in report.monitors.monitors)))
        now = self.clock.now()
        told_age_s = None if report.sent_wall is None else now.wall - report.sent_wall
        messages = dict(list(report.messages.items())[:TOLD_MESSAGES_MAX])
        self.send(
            peer,
            Handed(
                report.agent,
                report.votes,
                max(0.0, now.mono - report.seen_mono),
                told_age_s,
                report.complete,
                messages,
            ),
        )

    # -------------------------------------------------------------------------------- receiving

    def hear(self, peer: str, aside: Monitors | Handed) -> None:
        one = self._peers.get(peer)
        if one is None:
            return
        if isinstance(aside, Monitors):
            one.ids, one.places = aside.ids, None
            return
        if self._monitors is None or len(aside.votes) != len(one.ids):
            return
        if aside.agent not in self._arrived and len(self._arrived) >= AGENTS_MAX:
            return
        report = self._read(peer, one, aside, self._monitors.value)
        self._arrived[aside.agent] = report
        if aside.agent in self._heard or len(self._heard) < AGENTS_MAX:
            self._heard[aside.agent] = report
        self._filled.set()

    @property
    def heard(self) -> tuple[Report, ...]:
        """The newest of each agent that others handed over: for when it begins to count, since
        the next one may be a while."""
        return tuple(self._heard.values())

    def _read(self, peer: str, one: _Peer, aside: Handed, ours: MonitorList) -> Report:
        if one.places is None or one.placed is not ours:
            theirs = {id_: index for index, id_ in enumerate(one.ids)}
            one.places = tuple(theirs.get(monitor.id) for monitor in ours.monitors)
            one.placed = ours
        places = one.places
        known = len(VOTE_WORDS)
        votes = bytes(
            UNKNOWN if place is None or aside.votes[place] >= known else aside.votes[place]
            for place in places
        )
        here = {place: index for index, place in enumerate(places) if place is not None}
        now = self.clock.now()
        return Report(
            agent=aside.agent,
            monitors=ours,
            votes=votes,
            messages={
                here[place]: bounded_message(text)
                for place, text in aside.messages.items()
                if place in here
            },
            arrived_mono=now.mono,
            arrived_wall=now.wall,
            complete=aside.complete and None not in places,
            age_s=aside.age_s,
            sent_wall=None if aside.told_age_s is None else now.wall - aside.told_age_s,
            via=f"{VIA}{peer}",
        )

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        self._monitors = monitors
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            arrived, self._arrived = self._arrived, {}
            for report in arrived.values():
                await deliver(report)
