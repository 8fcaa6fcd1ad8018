"""Reading and writing a zone that fails: back-off that grows, and that only success ends."""

from __future__ import annotations

import pytest

from dnslb.decide.backoff import BACKOFF_S_MAX, REFUSED_S_MAX, backoff_s
from dnslb.decide.events import LeaseChanged, SettingsChanged
from dnslb.model.outcome import Failure, FailureKind
from dnslb.model.rrset import ZoneReading
from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B = "192.0.2.1", "192.0.2.2"


def published(*addresses: str) -> World:
    world = World(settings(balancer(WWW, *addresses))).start()
    world.vote_all("up")
    world.wait(5)
    assert world.dns(WWW) == addresses
    return world


@pytest.mark.parametrize("kind", ["conflict", "temporary", "unknown", "refused"])
def test_a_zone_that_reads_well_and_writes_badly_is_tried_ever_more_slowly(kind: str) -> None:
    world = published(A, B)
    world.refuse_writes(Failure(kind, "no"))  # type: ignore[arg-type]
    world.vote_all({A: "down"})
    at_once = world.refused
    assert at_once <= 2
    world.wait(60)
    assert 1 <= world.refused - at_once <= 8
    (row,) = [row for row in world.status.attention if row.kind == "zone-error"]
    assert f"failed {world.refused} times" in row.sentence
    world.wait(600)
    longest_s = REFUSED_S_MAX if kind == "refused" else BACKOFF_S_MAX
    assert world.refused <= at_once + 8 + 600 / (longest_s / 2)
    world.refuse_writes(None)
    world.wait(longest_s)
    assert world.dns(WWW) == (B,)
    assert "zone-error" not in world.kinds()


@pytest.mark.parametrize("kind", ["conflict", "temporary", "unknown", "refused"])
@pytest.mark.parametrize("late", [False, True])
def test_a_write_that_failed_wants_nobody_once_another_one_writes(kind: str, late: bool) -> None:
    """Also when it ends after the right to write is gone, as one that was cut off does."""
    world = published(A, B)
    world.refuse_writes(Failure(kind, "no"))  # type: ignore[arg-type]
    world.slow = late
    world.vote_all({A: "down"})
    world.wait(5)
    world.feed(LeaseChanged(None))
    world.finish_writes()
    assert "zone-error" not in world.kinds()
    assert world.status.zones["example.org"].error is None


def test_a_first_conflict_is_answered_at_once() -> None:
    """Somebody else was quicker: read again and decide again."""
    world = published(A, B)
    world.fail_write.append(Failure("conflict", "the RRset is not as it was read"))
    world.vote_all({A: "down"})
    assert world.dns(WWW) == (B,)
    assert "zone-error" not in world.kinds()


def test_a_reload_tries_again_at_once() -> None:
    """Whoever reloads may have put right what went wrong: a password, a policy."""
    world = published(A, B)
    world.refuse_writes(Failure("refused", "not authorised"))
    world.vote_all({A: "down"})
    world.wait(200)
    world.refuse_writes(None)
    world.wait(1)
    assert world.dns(WWW) == (A, B)
    world.feed(SettingsChanged(world.settings))
    assert world.dns(WWW) == (B,)


def test_what_is_wanted_no_more_is_no_trouble() -> None:
    world = published(A, B)
    world.refuse_writes(Failure("refused", "not authorised"))
    world.vote_all({A: "down"})
    world.wait(5)
    assert "zone-error" in world.kinds()
    world.vote_all({A: "up"})
    world.wait(60)
    assert "zone-error" not in world.kinds()


def test_the_provider_says_when() -> None:
    world = published(A, B)
    world.fail_write.append(Failure("temporary", "429 Too Many Requests", retry_after_s=120.0))
    world.vote_all({A: "down"})
    world.wait(119)
    assert world.dns(WWW) == (A, B)
    world.wait(2)
    assert world.dns(WWW) == (B,)


@pytest.mark.parametrize(
    ("kind", "longest_s"),
    [("temporary", BACKOFF_S_MAX), ("unknown", BACKOFF_S_MAX), ("refused", REFUSED_S_MAX)],
)
def test_back_off_grows_and_is_bounded(kind: FailureKind, longest_s: float) -> None:
    waits = [backoff_s(n, Failure(kind, "no", jitter=0.0)) for n in range(1, 2000)]
    assert waits[0] > 0
    assert waits == sorted(waits)
    assert waits[-1] == longest_s / 2
    assert backoff_s(2000, Failure(kind, "no", jitter=1.0)) == longest_s
    assert backoff_s(1, Failure(kind, "no", retry_after_s=900.0)) == 900.0


def test_a_reading_of_an_older_lease_is_no_basis() -> None:
    """It may show what stood before the other writer's last word."""
    world = published(A, B)
    world.hold_reads = True
    world.command("sync")
    old = world._read("example.org", frozenset({WWW}))
    assert isinstance(old, ZoneReading)
    world.feed(LeaseChanged(None))
    world.publish(WWW, B)
    world.feed(LeaseChanged(world.lease(term=2, nonce="n2")))
    world.vote_all({A: "down"})
    world.slow = True
    world.finish_read(old)
    assert not world.waiting
    world.finish_read()
    assert not world.waiting
    assert world.status.loadbalancers[WWW].published == (B,)


@pytest.mark.parametrize("kind", ["conflict", "temporary", "refused"])
def test_a_write_that_fails_when_nobody_wants_it_any_more_is_no_trouble(kind: str) -> None:
    """Life returned while it was under way, and the zone is as wanted."""
    world = published(A, B)
    world.slow = True
    world.vote_all({A: "down"})
    world.vote_all({A: "up"})
    world.refuse_writes(Failure(kind, "no"))  # type: ignore[arg-type]
    world.finish_writes()
    world.wait(60)
    assert world.dns(WWW) == (A, B)
    assert world.kinds() == []


def test_a_plan_that_nobody_wants_any_more_is_recalled() -> None:
    """A slow provider need not carry out what is over, only to have it undone."""
    world = published(A, B)
    world.slow = True
    world.vote_all({A: "down"})
    assert len(world.waiting) == 1
    world.vote_all({A: "up"})
    world.wait(10)
    assert world.waiting == []
    world.slow = False
    world.wait(60)
    assert world.dns(WWW) == (A, B)
    assert len(world.applied) == 1
    assert world.kinds() == []


def test_while_a_zone_cannot_be_read_nothing_rests_on_what_was_read_before() -> None:
    world = published(A, B)
    world.refuse_reads("503")
    world.wait(400)
    world.vote_all({A: "down"})
    world.wait(400)
    assert len(world.applied) == 1
    world.refuse_reads(None)
    world.wait(BACKOFF_S_MAX)
    assert world.dns(WWW) == (B,)


def test_after_a_refusal_the_zone_is_read_again() -> None:
    world = published(A, B)
    world.hold_reads = True
    world.fail_write.append(Failure("refused", "422 not a valid record"))
    world.vote_all({A: "down"})
    assert len(world.reads_held) == 1


def test_of_a_name_that_was_not_read_nothing_is_said() -> None:
    """Others of its zone were: that is no reason to call it empty."""
    world = published(A, B)
    world.hold_reads = True
    world.settings = settings(balancer(WWW, A, B), balancer("api.example.org", "192.0.2.9"))
    world.feed(SettingsChanged(world.settings))
    assert world.status.loadbalancers["api.example.org"].published is None
    assert world.status.loadbalancers[WWW].published == (A, B)
