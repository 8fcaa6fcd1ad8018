"""The rules of `docs/safety.md` 2.4, 3 and 4, one by one, each by its number."""

from __future__ import annotations

import pytest

from dnslb.decide.agents import fresh_until
from dnslb.decide.events import LeaseChanged, LoopStalled, SettingsChanged
from dnslb.decide.intents import Apply, Commit
from dnslb.errors import PlanRefused
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.plan import Change, Plan
from dnslb.model.report import Report
from dnslb.model.rrset import RRset, RRsetKey
from tests.decide.world import World, balancer, settings

NAME = "www.example.org"
THREE = ("192.0.2.1", "192.0.2.2", "192.0.2.3")


def started(**options: object) -> World:
    world = World(settings(balancer(NAME, *THREE), **options)).start()
    world.vote_all("up")
    world.wait(4)
    assert world.dns(NAME) == THREE
    return world


def test_rule_2_4_a_new_writer_waits_out_and_reads_first() -> None:
    shared = Capabilities(shared=True, write_s_max=10.0)
    world = World(settings(balancer(NAME, *THREE), capabilities=shared)).start(lease=False)
    world.vote_all("up")
    world.wait(4)
    world.feed(LeaseChanged(world.lease(clean=False)))
    world.wait(9.9)
    assert world.applied == []
    world.wait(0.2)
    assert world.dns(NAME) == THREE


def test_rule_3_1_a_new_lease_reads_anew_also_where_no_marker_is_kept() -> None:
    world = World(settings(balancer(NAME, *THREE))).start()
    world.vote_all("up")
    world.wait(4)
    world.feed(LeaseChanged(None))
    world.publish(NAME, *THREE[:2])
    world.hold_reads = True
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    world.vote_all({THREE[0]: "down"})
    assert len(world.applied) == 1
    world.finish_read()
    assert world.dns(NAME) == THREE[1:]
    assert "write-failed" not in dict(world.log)


def test_rule_3_1_a_follower_reads_and_writes_nothing() -> None:
    world = World(settings(balancer(NAME, *THREE))).start(lease=False)
    world.vote_all("up")
    world.wait(60)
    assert (world.applied, world.commits) == ([], [])
    view = world.status.loadbalancers[NAME]
    assert view.desired == THREE


def test_rule_3_2_nothing_is_written_before_a_full_round_of_a_quorum() -> None:
    world = World(settings(balancer(NAME, *THREE))).start()
    world.vote("a1", "up")
    world.vote("a2", "up", complete=False)
    world.wait(4)
    assert world.applied == []
    assert world.status.gate is not None
    world.vote("a2", "up")
    assert world.dns(NAME) == THREE


def test_rule_3_2_after_a_stall_withdrawals_wait_for_a_new_round() -> None:
    world = started()
    world.vote("a1", {"192.0.2.1": "down"})
    world.feed(LoopStalled(0.5))
    world.now = world.now.later(0.1)
    world.vote("a2", {"192.0.2.1": "down"}, complete=False)
    assert world.dns(NAME) == THREE
    world.vote("a1", {})
    assert world.dns(NAME) == THREE
    world.vote("a2", {})
    assert world.dns(NAME) == THREE[1:]


@pytest.mark.parametrize("adopt", [False, True])
def test_rule_3_3_a_first_contact_is_held_unless_adopted(adopt: bool) -> None:
    world = World(settings(balancer(NAME, *THREE), adopt_existing=adopt))
    world.publish(NAME, "198.51.100.1")
    world.start()
    world.vote_all("up")
    world.wait(4)
    assert world.dns(NAME) == (THREE if adopt else ("198.51.100.1",))


def test_rule_3_4_a_name_that_leaves_keeps_its_records() -> None:
    world = started()
    world.settings = settings(balancer("api.example.org", "192.0.2.9"))
    world.feed(SettingsChanged(world.settings))
    world.wait(600)
    assert world.dns(NAME) == THREE
    assert "released" in world.kinds()
    assert world.command("release", NAME).ok
    assert "released" not in world.kinds()
    assert world.dns(NAME) == THREE


def test_rule_3_7_a_dry_run_neither_writes_nor_commits_nor_obeys() -> None:
    world = World(settings(balancer(NAME, *THREE), dry_run=True)).start(lease=False)
    world.vote_all("up")
    world.wait(4)
    assert (world.applied, world.commits) == ([], [])
    assert [v.state for v in world.status.changes] == ["pending"]
    assert not world.command("drain", "192.0.2.1").ok


def report(**options: object) -> Report:
    monitors = MonitorList.of([balancer(NAME, *THREE)])
    given: dict[str, object] = {"arrived_mono": 1000.0, "arrived_wall": 5000.0, **options}
    return Report("a1", monitors, b"\1\1\1", **given)  # type: ignore[arg-type]


def test_rule_4_2_freshness_by_arrival_time_and_skew() -> None:
    assert fresh_until(report(), None, 45) == 1045
    assert fresh_until(report(age_s=20.0), None, 45) == 1025
    assert fresh_until(report(sent_wall=4990.0), 0.0, 45) == 1035
    assert fresh_until(report(sent_wall=4990.0), 10.0, 45) == 1045
    assert fresh_until(report(sent_wall=5005.0), -5.0, 45) == 1045
    assert fresh_until(report(sent_wall=4980.0, stored=True), None, 45) == 1025
    assert fresh_until(report(sent_wall=4900.0, stored=True), None, 45) < 1000
    assert fresh_until(report(sent_wall=4980.0), 20.0, 45) == float("-inf")


def test_rule_4_2_a_clock_that_is_far_off_is_named() -> None:
    world = started()
    world.vote("a3", "down", sent_wall=world.now.wall - 30)
    world._votes.pop("a3")
    world.wait(15)
    row = next(r for r in world.status.attention if r.subject == "a3")
    assert "clock" in row.sentence
    assert world.dns(NAME) == THREE


def test_rule_4_2_the_younger_report_wins_whichever_way_it_came() -> None:
    world = started()
    world.vote("a1", {"192.0.2.1": "down"})
    world.vote("a2", {"192.0.2.1": "down"}, age_s=20.0)
    assert world.dns(NAME) == THREE


def test_rule_4_3_pause_goes_before_force_and_force_before_the_verdict() -> None:
    world = started()
    assert world.command("force-down", "192.0.2.1").ok
    assert world.dns(NAME) == THREE[1:]
    assert world.command("force-up", "192.0.2.1").ok
    world.vote_all({"192.0.2.1": "down"})
    assert world.dns(NAME) == THREE
    assert world.command("pause").ok
    assert world.command("force-down", "192.0.2.1").ok
    assert world.dns(NAME) == THREE


def test_rule_4_3_min_published_keeps_the_most_recently_living() -> None:
    world = World(settings(balancer(NAME, *THREE, min_published=2))).start()
    world.vote_all("up")
    world.wait(4)
    world.vote_all({"192.0.2.1": "down"})
    world.wait(5)
    world.vote_all({"192.0.2.3": "down"})
    assert world.dns(NAME) == ("192.0.2.2", "192.0.2.3")


def test_rule_4_4_operators_are_not_limited() -> None:
    world = World(settings(balancer(NAME, *THREE, max_withdraw=0.0))).start()
    world.vote_all("up")
    world.wait(4)
    world.vote_all({"192.0.2.1": "down"})
    assert world.dns(NAME) == THREE
    assert world.command("drain", "192.0.2.2").ok
    assert world.dns(NAME) == ("192.0.2.1", "192.0.2.3")


def test_rule_4_5_what_a_withdrawal_rests_on_is_durable_before_it_is_sent() -> None:
    world = started()
    seen: list[Commit | Apply] = []
    step = world.controller.step

    def watched(event: object, now: object) -> object:
        intents = step(event, now)  # type: ignore[arg-type]
        seen.extend(i for i in intents if isinstance(i, Commit | Apply))
        return intents

    world.controller.step = watched  # type: ignore[method-assign,assignment]
    world.vote_all({"192.0.2.1": "down"})
    kinds = [type(intent) for intent in seen]
    assert kinds[:2] == [Commit, Apply]
    window = world.state.checkpoint.guard.window
    assert window is not None
    assert (NAME, "192.0.2.1") in window.withdrawn
    world.fail_commit.append("no space left on device")
    world.vote_all({"192.0.2.2": "down"})
    assert world.dns(NAME) == ("192.0.2.2", "192.0.2.3")
    assert "state-store" in world.kinds()


def test_rule_4_6_an_approval_is_for_exactly_what_was_shown() -> None:
    world = World(settings(balancer(NAME, *THREE, max_withdraw=0.0))).start()
    world.vote_all("up")
    world.wait(4)
    world.vote_all({"192.0.2.1": "down"})
    (first,) = world.held()
    world.vote_all({"192.0.2.2": "down"})
    assert world.held() != [first]
    assert not world.command("approve", first).ok
    assert world.dns(NAME) == THREE
    assert world.command("approve", *world.held()).ok
    assert world.dns(NAME) == ("192.0.2.3",)
    assert not world.state.operator.approvals


def test_rule_4_6_an_approval_dies_after_ten_minutes() -> None:
    world = World(settings(balancer(NAME, *THREE, max_withdraw=0.0))).start()
    world.vote_all("up")
    world.wait(4)
    world.vote_all({"192.0.2.1": "down"})
    assert world.command("pause").ok
    assert world.command("approve", *world.held()).ok or world.dns(NAME) == THREE
    world.wait(601)
    assert world.command("resume").ok
    assert world.dns(NAME) == THREE


def test_rule_4_7_each_flap_doubles_the_wait_and_quiet_halves_it() -> None:
    world = started()
    waits = []
    for _ in range(3):
        world.vote_all({"192.0.2.1": "down"})
        world.vote_all({"192.0.2.1": "up"})
        began = world.now.mono
        while world.dns(NAME) != THREE:
            world.wait(0.5)
        waits.append(world.now.mono - began)
    assert waits == pytest.approx([3, 6, 12], abs=1)
    world.wait(1300)
    world.vote_all({"192.0.2.1": "down"})
    world.vote_all({"192.0.2.1": "up"})
    world.wait(3.5)
    assert world.dns(NAME) == THREE


def test_rule_4_8_one_load_balancer_that_raises_is_frozen_alone() -> None:
    lbs = (balancer(NAME, *THREE), balancer("api.example.org", "192.0.2.9", "192.0.2.10"))
    world = World(settings(*lbs)).start()
    world.vote_all("up")
    world.wait(4)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    world.controller._balancers[NAME].evaluate = broken  # type: ignore[method-assign,assignment]
    world.vote_all({"192.0.2.1": "down", "192.0.2.9": "down"})
    assert world.dns(NAME) == THREE
    assert world.dns("api.example.org") == ("192.0.2.10",)
    assert "frozen" in world.kinds()


def test_an_override_ends_by_itself() -> None:
    world = started()
    assert world.command("drain", "192.0.2.1", expires_wall=world.now.wall + 60).ok
    assert world.dns(NAME) == THREE[1:]
    world.wait(61)
    assert world.dns(NAME) == THREE
    assert not world.state.operator.overrides


def test_without_the_lease_nothing_is_written() -> None:
    world = started()
    world.feed(LeaseChanged(None))
    world.vote_all({"192.0.2.1": "down"})
    assert world.dns(NAME) == THREE
    over = Lease("here", FencingToken("owner", 1, 0, "n2"), good_until_boot=world.now.boot - 1)
    world.feed(LeaseChanged(over))
    assert world.dns(NAME) == THREE


KEY = RRsetKey(NAME, "A")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Change(KEY, RRset(KEY, 60, ("192.0.2.1",)), None, "r", "health"), "without a reason"),
        (
            Change(RRsetKey("x.example.org", "A"), None, RRset(KEY, 60, THREE), "r", "health"),
            "not ours",
        ),
        (Change(RRsetKey(NAME, "MX"), None, RRset(KEY, 60, THREE), "r", "health"), "no addresses"),
        (Change(KEY, None, RRset(KEY, 60, ("2001:db8::1",)), "r", "health"), "do not fit"),
        (Change(KEY, None, None, "r", "health"), "changes nothing"),
    ],
)
def test_a_plan_refuses_itself(change: Change, says: str) -> None:
    with pytest.raises(PlanRefused, match=says):
        Plan("example.org", (change,), 0).check({NAME})


def test_a_plan_refuses_what_lies_outside_its_zone() -> None:
    change = Change(KEY, None, RRset(KEY, 60, THREE), "r", "health")
    with pytest.raises(PlanRefused, match="outside"):
        Plan("example.net", (change,), 0).check({NAME})
