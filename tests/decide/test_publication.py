"""Applied is not published: what is expected of the servers, and what their answers change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnslb.decide import publication
from dnslb.decide.events import LeaseChanged, PublicationChecked, SettingsChanged, Woke
from dnslb.model.publication import Expected, Lag, Seen, Sighting
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.model.status import ChangeView
from tests.decide.world import World, balancer, settings

ZONE, WWW, API = "example.org", "www.example.org", "api.example.org"
A, B = "192.0.2.1", "192.0.2.2"
KEY = RRsetKey(WWW, "A")


def applied(**options: object) -> World:
    """Two addresses published at ``www``, and nobody asked the servers yet."""
    given = {"unverified": None, **options}
    world = World(settings(balancer(WWW, A, B), balancer(API, A, B), **given)).start()
    world.vote_all("up")
    world.wait(5)
    assert world.dns(WWW) == (A, B)
    return world


def newest(world: World, name: str = WWW) -> ChangeView:
    return next(view for view in world.status.changes if view.key.name == name)


def see(world: World, *keys: RRsetKey, **more: object) -> None:
    """The verifier has seen what is expected at these keys, 0.25 s after it was applied."""
    seen = tuple(Seen(world.expected[ZONE][key], 0.25) for key in keys)
    world.feed(PublicationChecked(Sighting(ZONE, seen, **more)))  # type: ignore[arg-type]


def lag(server: str = "ns2", overdue: bool = True, silent: bool = False) -> Lag:
    sentence = "does not answer" if silent else "answers 192.0.2.9 for it"
    return Lag(server, silent, sentence, (str(KEY),), 1, 1_700_000_000.0, overdue)


# ------------------------------------------------------------------------ applied and published


def test_what_was_applied_is_expected_of_the_servers() -> None:
    world = applied()
    expected = world.expected[ZONE][KEY]
    assert expected.rrset == RRset(KEY, 60, (A, B))
    assert (newest(world).state, newest(world).published_wall) == ("applied", None)
    assert (newest(world).plan_id, newest(world).applied_wall) == (
        expected.plan_id,
        expected.applied_wall,
    )


def test_what_all_servers_answer_is_published() -> None:
    world = applied()
    world.wait(1)
    see(world, KEY)
    assert (newest(world).state, newest(world).published_wall) == ("published", world.now.wall)
    assert newest(world, API).state == "applied"
    assert ("published", f"{KEY}: every server asked answers it, after 0.25 s") in world.log


def test_an_answer_to_what_was_expected_before_proves_nothing() -> None:
    """The same set can be applied twice: only the second time counts, when it is wanted."""
    world = applied()
    before = Seen(world.expected[ZONE][KEY], 0.5)
    world.vote_all({B: "down"})
    assert world.expected[ZONE][KEY].rrset == RRset(KEY, 60, (A,))
    world.feed(PublicationChecked(Sighting(ZONE, (before,))))
    assert {v.state for v in world.status.changes if v.key == KEY} == {"applied"}
    see(world, KEY)
    states = [v.state for v in world.status.changes if v.key == KEY]
    assert states == ["published", "applied"]


def test_a_removed_rrset_is_expected_to_be_absent() -> None:
    world = applied()
    world.settings = replace(world.settings, loadbalancers=world.settings.loadbalancers[:1])
    world.feed(SettingsChanged(world.settings))
    world.command("release", API, delete=True)
    expected = world.expected[ZONE][RRsetKey(API, "A")]
    assert expected.rrset is None
    see(world, RRsetKey(API, "A"))
    assert newest(world, API).state == "published"


def test_verification_changes_nothing_that_is_written() -> None:
    world = applied()
    written = len(world.applied)
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(), lag("ns3", silent=True)))))
    world.wait(600)
    assert len(world.applied) == written
    assert world.dns(WWW) == (A, B)


# -------------------------------------------------------------------- what is expected no longer


def test_what_somebody_else_wrote_is_not_expected_to_be_ours() -> None:
    world = applied(drift="report")
    world.publish(WWW, "192.0.2.99")
    world.command("sync")
    assert world.expected[ZONE].keys() == {RRsetKey(API, "A")}


def test_names_that_left_the_configuration_are_expected_no_longer() -> None:
    world = applied()
    world.settings = replace(world.settings, loadbalancers=world.settings.loadbalancers[:1])
    world.feed(SettingsChanged(world.settings))
    assert world.expected[ZONE].keys() == {KEY}


def test_without_the_right_to_write_nothing_is_expected() -> None:
    world = applied()
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(),), unverified="why not")))
    assert world.kinds() == ["not-published", "not-verified"]
    world.feed(LeaseChanged(None))
    assert world.expected[ZONE] == {}
    assert world.kinds() == []
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(),))))
    assert world.kinds() == []


# ------------------------------------------------------------------------ what a lease begins with


def restarted(world: World, **options: object) -> World:
    """Another process takes over what was stored and what stands."""
    settings_ = replace(world.settings, **options)  # type: ignore[arg-type]
    return World(settings_, records=world.records, now=world.now, state=world.state).start()


def test_what_stands_as_we_left_it_is_asked_for_once_a_lease_begins() -> None:
    """A server that lagged before a restart lags after it, and somebody has to say so."""
    world = restarted(applied())
    assert world.expected[ZONE].keys() == {KEY, RRsetKey(API, "A")}
    expected = world.expected[ZONE][KEY]
    assert (expected.rrset, expected.plan_id) == (RRset(KEY, 60, (A, B)), None)
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(),))))
    assert "not-published" in world.kinds()
    seen = tuple(Seen(one, 1.0) for one in world.expected.pop(ZONE).values())
    world.feed(PublicationChecked(Sighting(ZONE, seen)))
    assert "not-published" not in world.kinds()
    assert "published" not in [kind for kind, _ in world.log]
    assert world.status.counters.get("published") is None
    world.command("sync")
    world.wait(1000)
    assert world.expected == {}


def test_of_very_many_some_are_looked_at_in_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "_LOOKED_AT_A_STEP", 1)
    world = restarted(applied())
    steps = 0
    while len(world.expected.get(ZONE, {})) < 2:
        steps += 1
        world.feed(Woke())
        assert steps < 5
    assert steps


def test_each_lease_begins_so_and_a_change_takes_the_place_of_what_stood() -> None:
    world = restarted(applied())
    before = world.expected[ZONE][KEY]
    world.feed(LeaseChanged(None))
    world.wait(5)
    world.feed(LeaseChanged(world.lease(nonce="n2")))
    assert world.expected[ZONE][KEY].applied_mono > before.applied_mono
    world.vote_all("up")
    world.wait(5)
    world.vote_all({B: "down"})
    world.wait(5)
    expected = world.expected[ZONE][KEY]
    assert expected.plan_id is not None
    assert expected.rrset == RRset(KEY, 60, (A,))


def test_what_is_not_ours_is_expected_of_nobody() -> None:
    world = applied()
    world.publish(WWW, "192.0.2.99")
    assert restarted(world, drift="report").expected[ZONE].keys() == {RRsetKey(API, "A")}
    unverified = restarted(applied(), unverified="-verify-servers is off")
    assert unverified.expected == {}


# ----------------------------------------------------------------------------- what people see


def test_a_server_that_is_overdue_is_named_until_it_catches_up() -> None:
    world = applied()
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(overdue=False),))))
    assert world.status.zones[ZONE].lagging == (lag(overdue=False),)
    assert world.kinds() == []
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(),))))
    (row,) = world.status.attention
    assert (row.severity, row.kind, row.subject) == ("warning", "not-published", f"{ZONE} at ns2")
    assert row.sentence == (
        "zone example.org: ns2 answers 192.0.2.9 for it; missing there: www.example.org A, "
        "expected since 2023-11-14T22:13:20Z"
    )
    see(world, KEY)
    assert world.kinds() == []
    told = [kind for kind, _ in world.log if kind in ("not-published", "caught-up")]
    assert told == ["not-published", "caught-up"]


def test_a_silent_server_is_not_said_to_answer_something_else() -> None:
    world = applied()
    world.feed(PublicationChecked(Sighting(ZONE, lagging=(lag(silent=True),))))
    (row,) = world.status.attention
    assert row.sentence == (
        "zone example.org: ns2 does not answer, so nobody knows whether it has www.example.org A, "
        "expected since 2023-11-14T22:13:20Z"
    )


def test_where_nobody_can_be_asked_the_changes_stay_applied_and_a_row_says_why() -> None:
    world = applied()
    world.feed(PublicationChecked(Sighting(ZONE, unverified="ns9.example.org has no address")))
    (row,) = world.status.attention
    assert (row.severity, row.kind) == ("info", "not-verified")
    assert "ns9.example.org has no address" in row.sentence
    assert world.status.zones[ZONE].unverified == "ns9.example.org has no address"
    assert newest(world).state == "applied"


def test_where_nobody_asks_nothing_is_expected_and_the_zone_says_why() -> None:
    world = applied(unverified="-verify-servers is off")
    assert world.expected == {}
    assert world.status.zones[ZONE].unverified == "-verify-servers is off"
    assert newest(world).state == "applied"
    assert world.kinds() == []


# -------------------------------------------------------------------------------------- values


def test_order_and_a_lower_ttl_are_as_good_and_anything_else_is_not() -> None:
    expected = Expected(KEY, RRset(KEY, 60, (A, B)), "p", 0.0, 0.0)
    assert expected.is_met_by((B, A), 60)
    assert expected.is_met_by((A, B), 5)
    assert not expected.is_met_by((A, B), 61)
    assert not expected.is_met_by((A,), 60)
    assert not expected.is_met_by((A, B, "192.0.2.3"), 60)
    assert not expected.is_met_by((), 0)
    absent = expected._replace(rrset=None)
    assert absent.is_met_by((), 0)
    assert not absent.is_met_by((A,), 60)
