"""Whose configuration is in force in DNS, and what another may change there unasked (rule 3.5)."""

from __future__ import annotations

import pytest

from dnslb.decide.events import CommandGiven, LeaseChanged, MembersCompared, SettingsChanged
from dnslb.model.checkpoint import Precedent, PutInForce
from dnslb.model.command import Command
from dnslb.model.loadbalancer import LoadBalancer
from tests.decide.world import World, balancer, endpoint, settings

WWW = "www.example.org"
A, B, C, D = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"
A6, B6 = "2001:db8::1", "2001:db8::2"
FOREIGN = "203.0.113.9"


def ruled(*lbs: LoadBalancer, digest: str = "old", **options: object) -> World:
    """All live, and the configuration that publishes them is in force."""
    world = World(settings(*lbs, digest=digest, **options)).start()
    world.vote_all("up")
    world.wait(5)
    assert world.state.checkpoint.precedent.digest == digest
    return world


def heir(before: World, *lbs: LoadBalancer, digest: str = "new", **options: object) -> World:
    """Another member, with another file, takes over; all live."""
    made = settings(*lbs, digest=digest, **options)
    world = World(made, records=before.records, state=before.state, now=before.now)
    world.start()
    world.vote_all("up")
    world.wait(5)
    return world


def at(address: str, priority: int = 0, path: str = "") -> object:
    url = f"http://{address}:80/{path}" if path else f"tcp://{address}:80"
    return endpoint(url, address, priority)


def lb(*endpoints: object, **policy: object) -> LoadBalancer:
    return balancer(WWW, *endpoints, **policy)  # type: ignore[arg-type]


def test_rule_3_5_a_new_leader_changes_nothing_by_its_configuration_alone() -> None:
    world = heir(ruled(lb(A, B, C)), lb(A, B, D, ttl=300))
    assert world.dns(WWW) == (A, B, C)
    [row] = [row for row in world.status.attention if row.kind == "held-configuration"]
    assert row.severity == "warning"
    assert f"would withdraw {C}, add {D}, set the TTL to 300 at {WWW}" in row.sentence
    assert "give all voters the same configuration" in row.next
    assert not world.applied
    [change] = [view for view in world.status.changes if view.state == "held"]
    assert (change.before, change.after) == ((A, B, C), (A, B, D))
    assert change.cause == "configuration"


def test_rule_3_5_health_is_followed_meanwhile() -> None:
    world = heir(ruled(lb(A, B, C)), lb(A, B, D, ttl=300))
    world.vote_all({B: "down"})
    world.wait(5)
    assert world.dns(WWW) == (A, C)
    assert world.records[next(iter(world.records))][0] == 60
    assert world.kinds().count("held-configuration") == 1
    world.vote_all({B: "up"})
    world.wait(5)
    assert world.dns(WWW) == (A, B, C)


def test_the_id_of_what_is_held_does_not_change_with_health() -> None:
    world = heir(ruled(lb(A, B, C)), lb(A, B, ttl=60))
    before = world.held()
    world.vote_all({B: "down"})
    world.wait(5)
    assert world.dns(WWW) == (A, C)
    assert world.held() == before
    assert world.command("approve", *before).ok
    assert world.dns(WWW) == (A,)


def test_rule_3_5_it_flows_once_all_voters_have_the_same() -> None:
    world = heir(ruled(lb(A, B, C)), lb(A, B, D))
    world.feed(MembersCompared("old"))
    world.wait(5)
    assert world.dns(WWW) == (A, B, C)
    world.feed(MembersCompared("new"))
    world.wait(1)
    assert world.dns(WWW) == (A, B, D)
    assert world.state.checkpoint.precedent.digest == "new"
    world.feed(MembersCompared(""))
    world.wait(5)
    assert not world.held()


def test_rule_3_5_a_leader_with_the_last_writers_configuration_just_goes_on() -> None:
    world = heir(ruled(lb(A, B, C)), lb(A, B, C), digest="old")
    commits = len(world.commits)
    world.vote_all({A: "down"})
    world.wait(5)
    assert world.dns(WWW) == (B, C)
    assert not [c for one in world.commits for c in one.changes if isinstance(c, PutInForce)]
    assert len(world.commits) > commits


def test_a_single_instance_holds_nothing() -> None:
    world = heir(ruled(lb(A, B), digest=""), lb(B, C), digest="")
    assert world.dns(WWW) == (B, C)
    assert world.state.checkpoint.precedent == Precedent()


@pytest.mark.parametrize("agreed", [False, True])
def test_what_is_in_force_is_durable_before_it_is_written(agreed: bool) -> None:
    """Whoever takes over in the middle must know by what was decided."""
    world = heir(ruled(lb(A, B)), lb(A, B, C))
    world.hold_commits = True
    if agreed:
        world.feed(MembersCompared("new"))
    else:
        world = ruled(lb(A, B))
        world.hold_commits = True
        reload(world, lb(A, C), digest="newer")
    world.wait(8)
    assert world.dns(WWW) == (A, B)
    [commit] = world.commits_held
    assert [type(one) for one in commit.changes] == [PutInForce]
    world.finish_commits()
    world.wait(5)
    assert world.dns(WWW) == ((A, B, C) if agreed else (A, C))


def test_a_store_that_fails_is_asked_again() -> None:
    world = heir(ruled(lb(A, B)), lb(A, B, C))
    world.log.clear()
    world.fail_commit.extend(["the disk is full"] * 2)
    world.feed(MembersCompared("new"))
    assert ("state-store", "decisions could not be stored: the disk is full") in world.log
    assert world.dns(WWW) == (A, B)
    assert "configuration" not in [kind for kind, _ in world.log]
    world.wait(10)
    assert world.dns(WWW) == (A, B, C)
    assert [kind for kind, _ in world.log].count("configuration") == 1
    # After a success the patience is as short as at first.
    world.fail_commit.append("the disk is full")
    reload(world, lb(A, C), digest="newer", wait_s=1.5)
    assert world.state.checkpoint.precedent.digest == "newer"


@pytest.mark.parametrize("ruling", [True, False])
def test_what_cannot_be_put_in_force_keeps_no_endpoint_alive(ruling: bool) -> None:
    """An older member that is down may not understand it: what is stored is judged by, if that is
    anything, and health is followed."""
    before = ruled(lb(A, B, C), digest="old" if ruling else "")
    world = World(settings(lb(A, B), digest="new"), records=before.records, state=before.state)
    world.refuse_in_force = "start the newer dnslb everywhere first"
    world.start()
    world.feed(MembersCompared("new"))
    world.vote_all("up")
    world.wait(5)
    assert world.dns(WWW) == ((A, B, C) if ruling else (A, B))
    world.vote_all({B: "down"})
    world.wait(200)
    assert world.dns(WWW) == ((A, C) if ruling else (A,))
    world.refuse_in_force = None
    world.wait(100)
    assert world.dns(WWW) == (A,)
    assert world.state.checkpoint.precedent.digest == "new"


def test_what_was_due_under_an_older_lease_is_not_put_in_force_under_a_newer_one() -> None:
    """The voters agreed once, and do not any more when this instance leads again."""
    world = heir(ruled(lb(A, B)), lb(A, B, C))
    world.fail_commit.extend(["the disk is full"])
    world.feed(MembersCompared("new"))
    world.feed(LeaseChanged(None))
    world.feed(MembersCompared(""))
    world.feed(LeaseChanged(world.lease(1)))
    world.wait(30)
    assert world.dns(WWW) == (A, B)
    assert world.state.checkpoint.precedent.digest == "old"


def test_what_is_due_stays_due_under_the_next_lease() -> None:
    world = heir(ruled(lb(A, B)), lb(A, B, C))
    world.fail_commit.extend(["the disk is full"])
    world.feed(MembersCompared("new"))
    world.feed(LeaseChanged(None))
    world.feed(LeaseChanged(world.lease(1)))
    world.wait(30)
    assert world.dns(WWW) == (A, B, C)


def reload(world: World, *lbs: LoadBalancer, digest: str, wait_s: float = 5.0) -> None:
    world.settings = settings(*lbs, digest=digest)
    world.feed(SettingsChanged(world.settings))
    world.vote_all("up")
    world.wait(wait_s)


def test_a_name_that_a_reload_takes_away_is_in_force_no_more() -> None:
    world = ruled(lb(A), balancer("api.example.org", B))
    reload(world, lb(A), digest="newer")
    assert world.state.checkpoint.precedent.digest == "newer"
    assert [*world.state.checkpoint.precedent.prints] == [WWW]


def test_two_reloads_and_an_approval_before_the_store_answers() -> None:
    """None of them takes back what another one put in force."""
    api, mail = "api.example.org", "mail.example.org"
    world = heir(
        ruled(lb(A, B), balancer(api, A, B), balancer(mail, A, B)),
        *(lb(A), balancer(api, A, B), balancer(mail, A, B)),
    )
    world.hold_commits = True
    held = world.held()
    reload(world, lb(A), balancer(api, A), balancer(mail, A, B), digest="newer")
    reload(world, lb(A), balancer(api, A), balancer(mail, A), digest="newest")
    world.feed(CommandGiven(7, Command("approve", tuple(held), "kim", "test")))
    assert {world.dns(name) for name in (WWW, api, mail)} == {(A, B)}
    world.finish_commits()
    world.wait(5)
    assert world.answers[7].ok
    assert {world.dns(name) for name in (WWW, api, mail)} == {(A,)}
    assert world.state.checkpoint.precedent.digest == "newest"


def test_a_reload_puts_in_force_only_where_ours_was_in_force_already() -> None:
    """The leader's own change flows; what was held before is held on."""
    other, changed = "api.example.org", "mail.example.org"
    world = heir(
        ruled(lb(A, B, C), balancer(other, A, B), balancer(changed, A)),
        lb(A, B),
        balancer(other, A, B),
        balancer(changed, A),
    )
    assert len(world.held()) == 1
    new = balancer("new.example.org", D)
    reload(world, lb(A, B), balancer(other, A), balancer(changed, A), new, digest="newer")
    assert world.dns(WWW) == (A, B, C)
    assert world.dns(other) == (A,)
    assert world.dns("new.example.org") == (D,)
    assert world.state.checkpoint.precedent.digest == "old"
    assert world.command("approve", *world.held()).ok
    assert world.dns(WWW) == (A, B)
    assert world.state.checkpoint.precedent.digest == "newer"


def test_an_approval_puts_one_name_in_force_and_no_other() -> None:
    other = "api.example.org"
    before = ruled(lb(A, B), balancer(other, A, B))
    world = heir(before, lb(A), balancer(other, A))
    ids = {view.key.name: view.id for view in world.status.changes if view.state == "held"}
    answer = world.command("approve", ids[WWW])
    assert answer.ok
    assert answer.sentence == f"approved: the configuration of {WWW}"
    assert (world.dns(WWW), world.dns(other)) == ((A,), (A, B))
    assert world.state.checkpoint.precedent.digest == "old"
    # Whoever has the old file asks before it takes that back.
    again = heir(world, lb(A, B), balancer(other, A, B), digest="old")
    assert (again.dns(WWW), again.dns(other)) == ((A,), (A, B))
    assert again.kinds().count("held-configuration") == 1
    again.feed(MembersCompared("old"))
    again.wait(5)
    assert again.dns(WWW) == (A, B)


def test_an_approved_configuration_passes_the_guard_like_a_reload() -> None:
    world = heir(ruled(lb(A, B, C, D)), lb(A, max_withdraw=0.5))
    assert world.command("approve", *world.held()).ok
    assert len(world.dns(WWW)) == 2
    assert "held-withdrawal" in world.kinds()


def test_both_families_of_a_name_are_one_question() -> None:
    world = heir(ruled(lb(A, B, A6, B6)), lb(A, A6))
    [id_] = world.held()
    [row] = [row for row in world.status.attention if row.kind == "held-configuration"]
    assert f"withdraw {B}, {B6}" in row.sentence
    assert world.command("approve", id_).ok
    assert (world.dns(WWW), world.dns(WWW, "AAAA")) == ((A,), (A6,))


def test_a_name_that_the_one_in_force_does_not_have_is_not_published_unasked() -> None:
    new = "new.example.org"
    world = heir(ruled(lb(A)), lb(A), balancer(new, B))
    assert world.dns(new) == ()
    assert world.command("approve", *world.held()).ok
    assert world.dns(new) == (B,)


def test_a_name_that_is_not_in_force_is_not_adopted_unasked_either() -> None:
    new = "new.example.org"
    before = ruled(lb(A))
    before.publish(new, FOREIGN)
    world = heir(before, lb(A), balancer(new, B), adopt_existing=True)
    assert world.dns(new) == (FOREIGN,)
    assert world.kinds().count("held-configuration") == 1


def test_a_name_that_ours_does_not_have_is_released_as_ever() -> None:
    other = "api.example.org"
    world = heir(ruled(lb(A), balancer(other, B)), lb(A))
    assert world.dns(other) == (B,)
    assert world.kinds() == ["released"]
