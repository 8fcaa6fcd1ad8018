"""The epoch of a cluster, raised above a marker that a person said is to be followed."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.errors import StoreError
from dnslb.model.lease import EPOCH_MAX
from tests.election.raft.house import street

Clock = trio.testing.MockClock


async def test_an_epoch_is_raised_for_the_next_term(autojump_clock: Clock, tmp_path: Path) -> None:
    """Above a marker that was seen, and no less than the wall clock; tokens do not change within a
    term, whoever leads next has the new one, and a restart keeps it."""
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        before = a.lease
        assert before is not None
        seen = before.token.epoch + 1000
        await a.member.outbid("example.org", seen)
        tokens = {one.token for one in a.leases if one is not None}
        assert tokens == {before.token}
        assert a.member.node.member.role == "follower"
        heir = await made.wait_lease()
        assert heir.lease is not None
        assert heir.lease.token.epoch == seen + 1
        assert heir.lease.term > before.term
        assert heir.member.knows_marker("example.org")
        assert f"the epoch of this cluster is {seen + 1} from now on" in str(a.events)
        # Another zone's, seen before that and not as new.
        await heir.member.outbid("example.net", seen - 500)
        heir = await made.wait_lease()
        assert heir.lease is not None
        assert heir.lease.token.epoch == seen + 1
        assert heir.member.knows_marker("example.net")
        # One that is behind the wall clock.
        heir.clock.jump_wall(seen * 2.0)
        heir = await made.wait_lease()
        wall = int(heir.clock.now().wall)
        await heir.member.outbid("example.org", seen + 1)
        next_one = await made.wait_lease()
        assert next_one.lease is not None
        assert next_one.lease.token.epoch >= wall


async def test_an_epoch_that_cannot_be_raised_changes_nothing(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        before = a.lease
        assert before is not None
        with pytest.raises(StoreError, match="dnslb fence reset"):
            await a.member.outbid("example.org", EPOCH_MAX)
        b = made.houses["b"]
        with pytest.raises(StoreError, match="b does not lead"):
            await b.member.outbid("example.org", before.token.epoch)
        assert a.member.node.member.configuration.epoch == before.token.epoch
        assert not a.member.knows_marker("example.org")
