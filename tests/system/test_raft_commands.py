"""A cluster of real processes on one host, and what people do with it: as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from dnslb.election.raft.timings import LEASE_S_MAX
from tests.system.raft_stage import Cluster
from tests.system.stage import metric

MakeCluster = Callable[..., Cluster]


def test_the_walk_through(make_cluster: MakeCluster) -> None:
    """The commands of the contract, word for word but for ports."""
    cluster = make_cluster()
    m1, m2, m3 = cluster.seats.values()
    cluster.start("m1", "-raft-bootstrap")
    cluster.start("m2")
    cluster.start("m3")
    cluster.wait_ready("m1", "m2", "m3")
    cluster.leader()

    def admin(*words: str) -> str:
        done = cluster.raftadmin(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert cluster.json("m2", "status")["role"] == "waiting"
    assert re.fullmatch(r"index: \d+\n", admin(m1.address, "add_voter", "m2", m2.address, "0"))
    two = ("--leader", cluster.multi("m1", "m2"))
    added = admin(*two, "add_voter", "m3", m3.address, "0")
    assert admin(*two, "add_voter", "m3", m3.address, "0") == added
    every = ("--leader", cluster.multi())
    assert admin(*every, "leader") == f'id: "m1"\naddress: "{m1.address}"\n'
    moved = admin(*every, "leadership_transfer")
    assert re.fullmatch(r'id: "m[23]"\naddress: "localhost:\d+"\nterm: 2\n', moved)
    named = admin(*every, "leadership_transfer_to_server", "m3", m3.address)
    assert re.fullmatch(rf'id: "m3"\naddress: "{m3.address}"\nterm: [23]\n', named)
    assert admin(*every, "get_configuration").splitlines() == [
        f'suffrage: VOTER id: "{seat.name}" address: "{seat.address}"' for seat in (m1, m2, m3)
    ]
    members = cluster.json("m3", "members")
    assert [(m["id"], m["role"], m["suffrage"], m["lag"]) for m in members] == [
        ("m1", "follower", "voter", 0),
        ("m2", "follower", "voter", 0),
        ("m3", "leader", "voter", 0),
    ]
    assert len({(m["version"], m["config_digest"]) for m in members}) == 1
    assert all(m["self"] or m["last_contact_seconds"] < 1 for m in members)
    port = cluster.json("m3", "status")["port"]
    cluster.wait(lambda: 0 < (metric(port, "dnslb_lease_remaining_seconds") or 0) <= LEASE_S_MAX)
    kinds = [
        json.loads(line)["kind"]
        for line in cluster.ctl("m1", "--json", "events").stdout.splitlines()
    ]
    assert "membership" in kinds
    assert "transfer" in kinds
    for name in ("m1", "m2", "m3"):
        assert cluster.stop(name) == 0
