"""A cluster of real processes that lost its quorum, or that somebody believed to have lost it.

The others are alive here and go on by themselves: whatever becomes of two clusters where there
was one, the zone has one writer.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from dnslb.election import state_codec
from dnslb.election.statefile import STATE_NAME
from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.raft_stage import Cluster
from tests.system.stage import CLI

WWW = f"www.{ZONE}"
AHEAD = 4_102_444_800
"""An epoch that no wall clock has reached."""


def recover(cluster: Cluster, one: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, "raft", "recover", "-cfg", str(cluster.directory / f"{one}.toml"), *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def token(ground: BindGround) -> FencingToken:
    (text,) = ground.markers()
    return marker.from_text(text)


def told(cluster: Cluster, name: str, kind: str) -> str:
    rows = cluster.json(name, "status")["attention"]
    return " ".join(row["sentence"] for row in rows if row["kind"] == kind)


def kinds(cluster: Cluster, name: str) -> str:
    return cluster.ctl(name, "--json", "events").stdout


def test_a_recovered_member_takes_the_zone_from_the_others_that_live(
    named: StartNamed, tmp_path: Path, make_cluster: Callable[..., Cluster]
) -> None:
    ground = BindGround(tmp_path, named)
    cluster = make_cluster(publisher=ground.toml, endpoints=2)
    cluster.form()
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.1", "192.0.2.2"})
    forced = cluster.ctl("m2", "force-up", "192.0.2.2", "--reason", "kept", "--for", "forever")
    assert forced.returncode == 0, forced.stderr
    cluster.wait(lambda: "kept" in cluster.ctl("m3", "overrides").stdout)
    before, foreign = token(ground), ground.foreign()
    dead = ("--dead", "m1", "--dead", "m2")

    running = recover(cluster, "m3", *dead)
    assert running.returncode == 1
    assert "Only a stopped member can be recovered." in running.stderr
    cluster.stop("m3", signal.SIGKILL)
    shown = recover(cluster, "m3")
    assert shown.returncode == 1
    assert "give --dead m1 --dead m2; nothing was changed" in shown.stderr
    done = recover(cluster, "m3", *dead)
    assert done.returncode == 0, done.stderr
    assert "Provider bind refuses what an old member still writes" in done.stdout

    cluster.start("m3")
    cluster.wait(lambda: token(ground).epoch > before.epoch)
    assert cluster.json("m3", "status")["role"] == "leader"
    assert "kept" in cluster.ctl("m3", "overrides").stdout
    assert [one["id"] for one in cluster.json("m3", "members")] == ["m3"]
    # All agents see it; the old leader decides the same, and may not write it.
    cluster.endpoints[0].down()
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.2"})
    cluster.wait(lambda: '"resigned"' in kinds(cluster, "m1") + kinds(cluster, "m2"))
    cluster.endpoints[0].up()
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.1", "192.0.2.2"})
    assert token(ground).epoch > before.epoch
    cluster.wait(lambda: "belongs to cluster" in told(cluster, "m3", "raft-refused"))
    assert len(cluster.json("m1", "members")) == 3

    for one in ("m1", "m2"):
        cluster.stop(one, signal.SIGKILL)
        (cluster.directory / one).rename(cluster.directory / f"{one}.old")
        cluster.start(one)
        cluster.wait_ready(one)
        cluster.raft("m3", "add_voter", one, cluster[one].address, "0")
    assert {one["suffrage"] for one in cluster.json("m3", "members")} == {"voter"}
    cluster.wait(lambda: "kept" in cluster.ctl("m1", "overrides").stdout)
    cluster.stop("m3")
    assert cluster.leader() in ("m1", "m2")
    cluster.endpoints[0].down()
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.2"})
    assert ground.foreign() == foreign


def test_a_cluster_takes_over_from_a_single_instance_when_a_person_says_so(
    named: StartNamed, tmp_path: Path, make_cluster: Callable[..., Cluster]
) -> None:
    """It knows nothing of the markers that the single one took, and its clock is behind theirs."""
    ground = BindGround(tmp_path, named)
    cluster = make_cluster(publisher=ground.toml, endpoints=2, size=1)
    (tmp_path / "single").mkdir(mode=0o700)
    ahead = state_codec.to_bytes(state_codec.Saved(epoch=AHEAD))
    (tmp_path / "single" / STATE_NAME).write_bytes(ahead)
    single = ("-election", "singleton", "-state-dir", str(tmp_path / "single"))
    cluster.start("m1", *single)
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.1", "192.0.2.2"})
    before = token(ground)
    assert before.epoch == AHEAD
    assert cluster.stop("m1") == 0

    cluster.start("m1", "-raft-bootstrap")
    cluster.wait(lambda: "-raft-new-epoch" in cluster.ctl("m1", "status").stdout)
    assert token(ground) == before
    assert cluster.stop("m1") == 0
    cluster.start("m1", "-raft-bootstrap", "-raft-new-epoch")
    cluster.wait(lambda: token(ground).epoch == AHEAD + 1)
    assert "the epoch of this cluster is" in kinds(cluster, "m1")
    cluster.endpoints[0].down()
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.2"})
    assert cluster.stop("m1") == 0
    cluster.start("m1")
    cluster.endpoints[0].up()
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.1", "192.0.2.2"})
    after = token(ground)
    assert after.epoch == AHEAD + 1
    assert cluster.stop("m1") == 0

    # And back: the single one does not take it by itself, and says what does.
    cluster.start("m1", *single)
    cluster.wait(lambda: "dnslb fence reset" in cluster.ctl("m1", "status").stdout)
    assert token(ground) == after
