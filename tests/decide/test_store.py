"""What outlives the process, and what a commit that fails leaves behind."""

from __future__ import annotations

from dnslb.decide.events import LeaseChanged
from dnslb.decide.settings import GuardSettings
from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B = "192.0.2.1", "192.0.2.2"
LBS = [
    balancer(f"w{i}.example.org", *[f"198.51.100.{10 * i + j}" for j in range(1, 5)])
    for i in range(5)
]
FIRST = {lb.addresses[j]: "down" for lb in LBS for j in (0, 1)}
MORE = {lb.addresses[2]: "down" for lb in LBS}


def in_dns(world: World) -> int:
    return sum(len(values) for _, values in world.records.values())


def test_a_new_lease_does_not_reset_the_withdrawal_window() -> None:
    """However long the process has run: the memory's age counts from when it was composed."""
    world = World(settings(*LBS)).start()
    world.vote_all("up")
    world.wait(3600)
    world.vote_all(FIRST)
    assert in_dns(world) == 10
    world.wait(1)
    world.feed(LeaseChanged(None))
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    world.vote_all(MORE)
    world.wait(1)
    assert in_dns(world) == 10
    assert len(world.held()) == 5


def test_a_new_lease_does_not_reset_flaps() -> None:
    world = World(settings(balancer(WWW, A, B), guard=GuardSettings(1.0))).start()
    world.vote_all("up")
    world.wait(3600)
    for _ in range(3):
        world.vote_all({A: "down"})
        world.wait(1)
        world.vote_all({A: "up"})
        world.wait(30)
    flaps = world.status.loadbalancers[WWW].endpoints[0].flaps
    assert flaps == 2
    world.feed(LeaseChanged(None))
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    world.vote_all({A: "down"})
    world.wait(1)
    assert world.status.loadbalancers[WWW].endpoints[0].flaps == flaps + 1


def test_a_disk_that_stays_full_ends_nothing() -> None:
    """No write to DNS meanwhile, no crash after a thousand failures; then it goes on by itself."""
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    world.fail_commit.extend(["no space left on device"] * 2000)
    world.vote_all({A: "down"})
    for _ in range(1100):
        assert not world.command("pause").ok
    world.wait(120)
    assert world.dns(WWW) == (A, B)
    assert "state-store" in world.kinds()
    world.fail_commit.clear()
    world.wait(60)
    assert world.dns(WWW) == (B,)
    assert "state-store" not in world.kinds()


def test_any_commit_that_succeeds_ends_the_row() -> None:
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    world.fail_commit.append("no space left on device")
    refused = world.command("drain", A)
    assert not refused.ok
    assert "no space left on device" in refused.sentence
    assert "state-store" in world.kinds()
    assert world.command("drain", A).ok
    assert "state-store" not in world.kinds()


def test_what_failed_under_another_lease_is_no_trouble_and_holds_nothing_up() -> None:
    """In a cluster every commit under way fails with the lease, disk or no disk."""
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    world.fail_commit.extend(["Another leader decided otherwise"] * 6)
    world.vote_all({A: "down"})
    world.wait(40)
    assert "state-store" in world.kinds()
    world.hold_commits = True
    assert not world.fail_commit
    world.wait(40)
    world.feed(LeaseChanged(None))
    assert "state-store" not in world.kinds()
    world.fail_commit.append("Another leader decided otherwise")
    world.finish_commits()
    assert "state-store" not in world.kinds()
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    assert "state-store" not in world.kinds()
    assert world.dns(WWW) == (B,)


def test_a_take_over_waits_for_what_this_instance_stored_last() -> None:
    """A slow disk, and the lease lost and gained meanwhile: what was held stays held."""
    c, d = "192.0.2.3", "192.0.2.4"
    world = World(settings(balancer(WWW, A, B, c, d, max_withdraw=0.5))).start()
    world.vote_all("up")
    world.wait(5)
    world.vote_all({A: "down", B: "down"})
    world.hold_commits = True
    world.vote_all({c: "down"})
    held = world.held()
    assert len(held) == len(world.commits_held) == 1
    world.feed(LeaseChanged(None))
    world.wait(61)
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    world.wait(1)
    assert len(world.commits_held) == 1
    world.finish_commits()
    world.wait(1)
    assert world.dns(WWW) == (c, d)
    assert world.held() == held


def test_a_command_whose_commit_is_uncertain_is_not_called_undone() -> None:
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    world.fail_commit.append("it may or may not be in force")
    world.uncertain = True
    told = world.command("drain", A)
    assert (told.ok, told.sentence) == (False, "it may or may not be in force")
