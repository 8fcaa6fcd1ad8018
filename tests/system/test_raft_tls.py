"""A cluster with the certificates of ``dnslb pki``, and what it refuses: named, on both sides."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

from dnslb.daemon.verbs.authority import Authority, Wish
from dnslb.election.raft.frames import (
    HELLO_BYTES_MAX,
    MAGIC,
    FrameReader,
    Hello,
    Refusal,
    greeting_frame,
    greeting_from_bytes,
)
from dnslb.net.clock import wall_s
from tests.system.raft_siege import CONNECTIONS, besieged
from tests.system.raft_stage import Cluster
from tests.system.stage import CLI

MakeCluster = Callable[..., Cluster]
DAY_S = 86_400.0


def pki(*words: str) -> None:
    subprocess.run([*CLI, "pki", *words], check=True, capture_output=True, timeout=60)


def make_pki(directory: Path, *members: str, **hosts: str) -> dict[str, Path]:
    """As the documentation says, in one command each. ``hosts``: where members are reached."""
    pki("init", "-dir", str(directory))
    for name in members:
        pki(
            "issue",
            name,
            "-role",
            "member",
            "-host",
            hosts.get(name, "localhost"),
            "-dir",
            str(directory),
        )
    return {name: directory / name for name in members}


def greet(address: str, pair: Path, hello: Hello) -> Refusal | Hello:
    """What a member answers to whoever shows this certificate and says this."""
    context = ssl.create_default_context(cafile=str(pair.parent / "ca.crt"))
    context.load_cert_chain(f"{pair}.crt", f"{pair}.key")
    host, _, port = address.rpartition(":")
    reader = FrameReader(HELLO_BYTES_MAX)
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as stream,
    ):
        stream.sendall(MAGIC + greeting_frame(hello))
        while (answer := reader.next_frame()) is None:
            data = stream.recv(4096)
            assert data, "it hung up without a word"
            reader.feed(data)
    return greeting_from_bytes(answer)


def test_a_cluster_with_certificates_and_whom_it_refuses(
    tmp_path: Path, make_cluster: MakeCluster
) -> None:
    """One cluster, since it is the processes that take the time."""
    cluster = make_cluster(endpoints=2)
    cluster.certificates = right = make_pki(tmp_path / "pki", "m1", "m2", "m3")
    cluster.form()
    leader = cluster.leader()
    pki("issue", "eve", "-role", "operator", "-dir", str(tmp_path / "pki"))
    eve = right["m1"].with_name("eve")
    admin = ("--ca", f"{eve.parent / 'ca.crt'}", "--crt", f"{eve}.crt", "--key", f"{eve}.key")
    moved = cluster.raftadmin(*admin, "--leader", cluster.multi(), "leadership_transfer")
    assert moved.returncode == 0, moved.stderr
    assert cluster.leader(but=leader) != leader
    under_siege(cluster, eve)
    another_members_certificate(cluster, right)
    refused(cluster, make_pki(tmp_path / "other", "m3"), "unknown CA")
    expired = tmp_path / "expired"
    expired.mkdir()
    for suffix in ("crt", "key"):
        (expired / f"ca.{suffix}").write_bytes((tmp_path / "pki" / f"ca.{suffix}").read_bytes())
    for private in expired.glob("*.key"):
        private.chmod(0o600)
    old = Wish("m3", "member", ("localhost",), 10)
    Authority(expired, wall_s() - 20 * DAY_S).issue(old)
    refused(cluster, {"m3": expired / "m3"}, "expired")
    cured(cluster, right)


def under_siege(cluster: Cluster, pair: Path) -> None:
    """A thousand connections that lead to nothing: the leader leads on and decides, and a member
    that was away gets in."""
    leader = cluster.leader()
    away = next(name for name in cluster.seats if name != leader)
    term = cluster.status(leader)["term"]
    body = {"kind": "drain", "subjects": ["192.0.2.1"], "reason": "a siege"}
    ports = [int(cluster[name].address.rpartition(":")[2]) for name in (leader, away)]
    with besieged(pair, *ports) as sieges:
        cluster.wait(lambda: sum(one.came for one in sieges) > CONNECTIONS)
        assert cluster.client(leader).post("/commands", body).value["ok"]
        cluster.stop(away, signal.SIGKILL)
        cluster.start(away)
        cluster.wait_ready(away)
        cluster.wait(lambda: cluster.status(away)["leader"] is not None)
        cluster.wait(lambda: match_of(cluster, leader, away) is not None)
        assert cluster.client(leader).post("/commands", body).value["ok"]
    status = cluster.status(leader)
    assert (status["role"], status["term"]) == ("leader", term)
    print(f"{sum(one.came for one in sieges)} came")


def match_of(cluster: Cluster, leader: str, name: str) -> int | None:
    """Up to where the leader knows that the member has its log."""
    rows = {one["id"]: one for one in cluster.client(leader).get("/members").value}
    return rows[name]["match_index"] or None


def another_members_certificate(cluster: Cluster, right: dict[str, Path]) -> None:
    """Of the right CA: found by its owner at the start, and by the others in the greeting."""
    claims = Hello("m3", "m1", "", "ab", 1)
    answer = greet(cluster["m1"].address, right["m2"], claims)
    assert isinstance(answer, Refusal)
    assert "m2" in answer.sentence
    assert "m3" in answer.sentence
    assert cluster.stop("m3") == 0
    cluster.certificates = {**right, "m3": right["m2"]}
    process = cluster.start("m3").process
    assert process is not None
    assert process.wait(timeout=20) == 1
    cluster["m3"].process = None
    assert "dnslb pki issue m3 -role member" in cluster["m3"].log


def refused(cluster: Cluster, wrong: dict[str, Path], word: str) -> None:
    """m3 starts with a pair that the others do not take; the others say so, and go on."""
    if cluster["m3"].process is not None:
        assert cluster.stop("m3") == 0
    cluster.certificates = {**cluster.certificates, **wrong}
    cluster.start("m3")
    cluster.wait_ready("m3")

    def named() -> bool:
        return all(
            any(row["subject"] == "m3" and word in row["sentence"] for row in rows)
            for rows in (cluster.status(name)["attention"] for name in ("m1", "m2"))
        )

    cluster.wait(named)
    assert cluster.status("m3")["leader"] is None
    body = {"kind": "drain", "subjects": ["192.0.2.1"], "reason": "a test"}
    assert cluster.client("m1").post("/commands", body).value["ok"]


def cured(cluster: Cluster, right: dict[str, Path]) -> None:
    """With a new pair in place of the old one it takes part again, without a restart."""
    for suffix in ("crt", "key"):
        old = cluster.certificates["m3"].with_suffix(f".{suffix}")
        old.write_bytes(right["m3"].with_suffix(f".{suffix}").read_bytes())
    cluster.wait(lambda: cluster.status("m3")["leader"] is not None)
    told = {row["kind"] for row in cluster.status("m3")["attention"]}
    assert "certificate-not-in-force" not in told
