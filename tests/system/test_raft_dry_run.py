"""A member that is started as a dry run, among real members before a real named (rule 3.7)."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tests.system.grounds import BindGround
from tests.system.named import StartNamed
from tests.system.raft_stage import Cluster
from tests.system.test_raft_takeover import Scene


def test_a_member_that_is_a_dry_run_takes_no_part_and_says_so(
    named: StartNamed, tmp_path: Path, make_cluster: Callable[..., Cluster]
) -> None:
    ground = BindGround(tmp_path, named)
    cluster = make_cluster(publisher=ground.toml, endpoints=2)
    scene = Scene(cluster, ground)
    forced = cluster.ctl("m1", "force-up", "192.0.2.2", "--reason", "kept", "--for", "forever")
    assert forced.returncode == 0, forced.stderr
    cluster.wait(lambda: "kept" in cluster.ctl("m3", "overrides").stdout)
    # How far it is committed is stored with what comes next.
    for _ in range(3):
        cluster.raft("m1", "barrier")
    assert cluster.stop("m3") == 0
    cluster.start("m3", "-dry-run")
    cluster.wait_ready("m3")
    what_it_says(cluster)
    what_the_others_say(cluster)
    # Alone it has nobody to leave it to, and still does nothing, for some elections long.
    for name in ("m1", "m2"):
        cluster.stop(name, signal.SIGKILL)
    before, term = (scene.token(), ground.version()), cluster.json("m3", "status")["term"]
    cluster.endpoints[0].down()
    until = cluster.json("m3", "status")["uptime_seconds"] + 3
    cluster.wait(lambda: cluster.json("m3", "status")["uptime_seconds"] > until)
    assert (scene.token(), ground.version()) == before
    assert cluster.json("m3", "status")["term"] == term
    assert cluster.json("m3", "status")["role"] == "dry-run"
    assert cluster.stop("m3") == 0
    # Without the flag it is the member that it was.
    cluster.start("m1")
    cluster.start("m3")
    scene.wait_values("192.0.2.2")
    assert ground.foreign() == scene.foreign


def what_it_says(cluster: Cluster) -> None:
    shown = cluster.ctl("m3", "status").stdout
    assert shown.startswith("dnslb m3  [DRY RUN]")
    assert "m3 votes in its cluster, and as a dry run it takes no part" in " ".join(shown.split())
    rows = {row["id"]: row for row in cluster.json("m3", "members")}
    assert rows["m3"]["role"] == "dry-run"
    assert {rows[one]["reached"] for one in ("m1", "m2")} == {None}
    # It knows what was decided up to its last run.
    assert "kept" in cluster.ctl("m3", "overrides").stdout
    for word in ("leader", "barrier", "snapshot", "shutdown"):
        done = cluster.ctl("m3", "--yes", "raft", word)
        assert done.returncode == 1, word
        assert "m3 is a dry run: it takes no part in its cluster" in done.stderr, word
    assert "m1" in cluster.raft("m3", "get_configuration")
    done = cluster.ctl("m3", "drain", "192.0.2.1", "--reason", "x")
    assert "this is a dry run" in done.stderr


def what_the_others_say(cluster: Cluster) -> None:
    """It is lost to them, and nobody counts on it."""
    leader = cluster.leader(but="m3")
    (other,) = {"m1", "m2"} - {leader}

    def both_know() -> bool:
        rows = [row for name in (leader, other) for row in cluster.json(name, "members")]
        return [row["reached"] for row in rows if row["id"] == "m3"] == [False, False]

    cluster.wait(both_know)
    refused = cluster.ctl(leader, "--yes", "raft", "demote_voter", other, "0")
    assert "2 of them decide, and 1 can be reached now" in refused.stderr
