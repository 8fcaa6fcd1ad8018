"""What the daemon measures as events pass by."""

from __future__ import annotations

from dnslb.daemon.observations import Observations
from dnslb.decide.events import PublicationChecked
from dnslb.metrics.counters import Counters
from dnslb.model.publication import Expected, Seen, Sighting
from dnslb.model.rrset import RRsetKey


def test_the_way_from_applied_to_published_is_timed_change_by_change() -> None:
    counters = Counters()
    expected = Expected(RRsetKey("www.example.org", "A"), None, "plan", 0.0, 0.0)
    seen = (Seen(expected, 0.5), Seen(expected, 1.5))
    observations = Observations(counters)
    observations.take_event(PublicationChecked(Sighting("example.org", seen)))
    stood = (Seen(expected._replace(plan_id=None), 60.0),)
    observations.take_event(PublicationChecked(Sighting("example.org", stood)))
    timed = counters.applied_to_published_s
    assert timed.count == 2
    assert "dnslb_applied_to_published_seconds_sum 2\n" in timed.text()
