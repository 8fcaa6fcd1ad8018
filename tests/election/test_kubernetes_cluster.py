"""What anyone may see of instances that compete for a Lease, and what they answer to commands."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dnslb.election.kubernetes_cluster import KubernetesCluster, name_of
from dnslb.election.kubernetes_objects import Kind
from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterCommand
from tests.election.kubernetes_stage import Member, wait_holder
from tests.election.kubernetes_twin import MemoryServer


def seen_by(member: Member, *, takes_part: bool = True) -> KubernetesCluster:
    return KubernetesCluster(
        member.place,
        "1.0",
        member.contest,
        member.clock,
        lambda: member.lease,
        takes_part=takes_part,
    )


async def test_the_holder_and_oneself_are_shown(autojump_clock: MockClock) -> None:
    server = MemoryServer()
    a, b = Member(server, "a_1"), Member(server, "b")
    first, second = seen_by(a), seen_by(b)
    assert (first.view().role, first.view().leader, first.view().term) == ("candidate", None, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        await wait_holder(a, within_s=16)
        nursery.start_soon(b.run)
        await trio.sleep(1)
        assert first.view().role == "leader"
        assert [(m.id, m.role, m.is_self) for m in first.view().members] == [
            ("a_1", "leader", True)
        ]
        view = second.view()
        assert (view.role, view.leader, view.term) == ("follower", ("a_1", ""), 1)
        assert [(m.id, m.role, m.is_self) for m in view.members] == [
            ("b", "follower", True),
            ("a_1", "leader", False),
        ]
        assert view.members[1].reached
        a.kill()
        b.door.is_cut_off = True
        await trio.sleep(16)
        assert second.view().leader is None, "its Lease has run out"
        assert second.view().role == "candidate"
        nursery.cancel_scope.cancel()


async def test_who_gave_up_or_stands_for_nothing_stands_by(autojump_clock: MockClock) -> None:
    server = MemoryServer()
    a = Member(server, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        await wait_holder(a, within_s=16)
        await a.elector.resign("tried")
        view = seen_by(a).view()
        assert (view.role, view.leader) == ("standby", None)
        nursery.cancel_scope.cancel()
    assert seen_by(Member(server, "c"), takes_part=False).view().role == "standby"


async def test_who_has_not_claimed_the_state_yet_leads_nobody(autojump_clock: MockClock) -> None:
    a = Member(MemoryServer(), "a")
    a.ground.broken = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        await trio.sleep(17)
        assert a.contest.is_ours
        assert (seen_by(a).view().role, seen_by(a).view().leader) == ("candidate", None)
        nursery.cancel_scope.cancel()


async def test_a_program_of_another_kind_is_named_too(autojump_clock: MockClock) -> None:
    server = MemoryServer()
    server.put(
        Kind.LEASE,
        "dnslb",
        "uid-1",
        {"holderIdentity": "dns-7f9c_0b8c2f3e-6c36", "leaseDurationSeconds": 30},
    )
    a = Member(server, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        await trio.sleep(1)
        assert seen_by(a).view().leader == ("dns-7f9c", "")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("add_voter", "there are no members to administer$"),
        ("leadership_transfer", "by ending: kubectl delete pod POD -n dns$"),
        ("leadership_transfer_to_server", "by ending: kubectl delete pod POD -n dns$"),
    ],
)
async def test_a_command_is_answered_with_a_sentence(
    name: str, says: str, autojump_clock: MockClock
) -> None:
    cluster = seen_by(Member(MemoryServer(), "a"))
    with pytest.raises(
        CommandRefused, match=f"^{name} needs -election raft; .* dns/dnslb .*{says}"
    ):
        await cluster.execute(ClusterCommand(name, (), "root"))


@pytest.mark.parametrize(
    ("identity", "name"), [("a_b_9f", "a_b"), ("host_uuid-1", "host"), ("plain", "plain"), ("", "")]
)
def test_the_name_in_an_identity(identity: str, name: str) -> None:
    assert name_of(identity) == name
