"""Members that were taken out, or lost their directory: what they say, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.api.codec import to_time
from dnslb.election.raft.asides import Departed
from tests.election.raft.house import street
from tests.election.raft.test_commands import index, refused

Clock = trio.testing.MockClock


@pytest.mark.parametrize("restarted", [True, False])
async def test_who_is_removed_says_so_and_by_whom(
    autojump_clock: Clock, tmp_path: Path, restarted: bool
) -> None:
    """Over the stream that it dialled itself; else, as its stream ends with its membership, by the
    refusal of the next one."""
    async with street(tmp_path, "b", "c") as (made, a):
        c = made.houses["c"]
        if restarted:
            await made.shut(c)
            await trio.sleep(5)
            c.rows.clear()
            await made.open("c")
        await trio.sleep(0.5)
        removed = index(await a.raft("remove_server", "c", "0", by="eve"))
        await trio.sleep(0.05)
        if restarted:
            assert c.member.node.member.leader == "a"
            assert (c.member.view().role, c.member.view().leader) == ("removed", None)
        await trio.sleep(1.95)
        cluster = a.member.view().cluster_id
        at = to_time(round(c.clock.now().wall - 2))
        how = f"by eve at {at} (index {removed})"
        told = c.rows["raft-removed", "c"]
        if restarted:
            assert told == f"c was taken out of the cluster {cluster} {how}"
        else:
            said = f"a at a:1 refuses: c was taken out of this cluster {how}: stop it"
            assert told.startswith(f"c is no member of the cluster {cluster} any more: {said}")
        assert ("membership", told) in c.events
        view = c.member.view()
        assert (view.role, view.leader) == ("removed", None)
        assert [one.role for one in view.members if one.is_self] == ["removed"]
        await trio.sleep(30)
        assert c.rows == {("raft-removed", "c"): told}
        assert [one for one in c.events if one[0] == "membership"].count(("membership", told)) == 1
        assert "c was taken out of its cluster" in await refused(c, "barrier")
        assert "c was taken out of this cluster by eve" in a.rows["raft-refused", "c"]


async def test_who_was_away_when_it_was_removed_is_told_at_its_next_start(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """By whoever leads by then, since the others were told; and nothing of it once it is back."""
    async with street(tmp_path, "b", "c", "d") as (made, a):
        c = made.houses["c"]
        await made.shut(c)
        await trio.sleep(2)
        index(await a.raft("remove_server", "c", "0", by="eve"))
        await a.raft("leadership_transfer")
        heir = await made.wait_lease(but="a")
        c.rows.clear()
        await made.open("c")
        await trio.sleep(10)
        sentence = c.rows["raft-removed", "c"]
        assert sentence.startswith("c is no member of the cluster")
        assert f"any more: {heir.name} at {heir.name}:1 refuses: c was taken out" in sentence
        assert "by eve at" in sentence
        assert c.member.view().role == "removed"
        assert "raft-no-leader" not in str(c.rows)
        index(await heir.raft("add_voter", "c", "c:1", "0"))
        await trio.sleep(2)
        assert "raft-removed" not in str(c.rows)
        assert c.member.view().role == "follower"
        assert c.member.view().leader == (heir.name, heir.address)
        # What was said of it then is forgotten.
        for other in made.houses.values():
            if other is not c:
                await made.shut(other)
        await trio.sleep(10)
        assert ("raft-no-leader", "c") in c.rows
        assert "no leader is known to c" in await refused(c, "barrier")


async def test_a_member_that_is_refused_is_not_called_silent(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """The refusal says what to do, and stays for as long as it is the newest that is known."""
    async with street(tmp_path, "b", "c") as (made, a):
        c = made.houses["c"]
        await made.shut(c)
        c.directory.rename(tmp_path / "lost")
        await made.open("c")
        await trio.sleep(60)
        assert "c lost its directory" in a.rows["raft-refused", "c"]
        assert a.severities["raft-refused", "c"] == "warning"
        assert ("raft-silent", "c") not in a.rows
        await made.shut(c)
        # That nobody answers for a moment says less.
        await trio.sleep(5)
        assert "c lost its directory" in a.rows["raft-refused", "c"]
        await trio.sleep(15)
        assert "c:1 cannot be reached" in a.rows["raft-silent", "c"]
        assert ("raft-refused", "c") not in a.rows


async def test_what_is_remembered_of_who_was_taken_out_has_an_end(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path) as (_, a):
        for i in range(200):
            a.member._parting.hear(Departed(f"m{i}", "eve", i, 0.0))
        assert len(a.member.node.departed) == 64
        assert "m199" in a.member.node.departed
        # Who leads was not taken out, whatever anybody says.
        a.member._parting.hear(Departed("a", "eve", 1, 0.0))
        assert a.member.view().role == "leader"
