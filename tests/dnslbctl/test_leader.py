"""Whom dnslbctl asks over the network, where answers send it, and whom it does not believe."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnslb.errors import CommandRefused, NoLeader, NotLeader
from dnslb.model.cluster import ClusterReply, ClusterView
from tests.dnslbctl.members import Member, Tried, running
from tests.doubles.operations import Shown, ep, lb, picture

STATUS = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
LEADER = ClusterReply(('id: "fra-1"',), {"id": "fra-1"})


def follower(of: str | None) -> ClusterView:
    return ClusterView("follower", 1, None if of is None else ("x", of), ())


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Member]]:
    found = [Member(tmp_path / name, shown=Shown(STATUS)) for name in "abc"]
    with running(*found):
        for member in found:
            member.shown.members = ClusterView("leader", 1, ("c", found[2].address), ())
        for member in found[:2]:
            member.shown.members = follower(found[2].address)
        yield found


def leader_of(members: list[Member]) -> str:
    return "multi:///" + ",".join(member.address for member in members)


def test_the_leader_is_found_among_members(three: list[Member], tried: Tried) -> None:
    assert tried.ctl("--leader", leader_of(three), "sync") == (0, "done\n", "")
    # It need not be in the list, and the others need not be there.
    words = ["--leader", f"multi:///127.0.0.1:1,{three[0].address}", "sync"]
    assert tried.ctl(*words) == (0, "done\n", "")
    assert [len(member.shown.commands) for member in three] == [0, 0, 2]


def test_no_leader_within_the_time_out(three: list[Member], tried: Tried) -> None:
    a, b, c = three
    a.shown.members, b.shown.members = follower(None), follower(c.address)
    c.shown.members = follower(b.address)
    code, err = tried.refused("--timeout", "0.3", "--leader", leader_of(three), "sync")
    assert code == 4
    assert err.splitlines() == [
        "dnslbctl: no leader within 0.3 s:",
        f"  {a.address}: is follower and knows of no leader",
        f"  {b.address}: says that {c.address} leads, which does not",
        f"  {c.address}: says that {b.address} leads, which does not",
    ]
    assert [member.shown.commands for member in three] == [[], [], []]


def test_no_member_at_all(tried: Tried) -> None:
    words = ["--leader", "multi:///127.0.0.1:1,127.0.0.1:2", "status"]
    code, err = tried.refused(*words)
    assert code == 3
    *lines, last = err.splitlines()
    assert lines == [
        "dnslbctl: no member of the cluster is reached:",
        "  127.0.0.1:1: nobody listens at 127.0.0.1:1",
        "  127.0.0.1:2: nobody listens at 127.0.0.1:2",
    ]
    assert "kubectl exec POD -- dnslbctl ..." in last


def test_a_member_that_is_not_the_leader_is_followed(three: list[Member], tried: Tried) -> None:
    a, b, c = three
    a.shown.cluster_answer = NotLeader("b", b.address)
    b.shown.cluster_answer = NotLeader("c", c.address)
    c.shown.cluster_answer = LEADER
    assert tried.ctl("--address", a.address, "raft", "verify_leader") == (0, 'id: "fra-1"\n', "")
    assert [len(member.shown.cluster_commands) for member in three] == [1, 1, 1]


def test_nobody_is_sent_round_in_circles(three: list[Member], tried: Tried) -> None:
    a, b, _ = three
    a.shown.cluster_answer = NotLeader("b", b.address)
    b.shown.cluster_answer = NotLeader("a", a.address)
    code, err = tried.refused("--address", a.address, "raft", "verify_leader")
    assert code == 4
    assert "the members name each other as the leader" in err
    assert len(a.shown.cluster_commands) + len(b.shown.cluster_commands) == 4


def test_through_the_socket_the_leader_is_named(three: list[Member], tried: Tried) -> None:
    a, _, c = three
    a.shown.cluster_answer = NotLeader("c", c.address)
    code, err = tried.refused("--socket", str(a.socket), "raft", "verify_leader")
    assert (code, err) == (1, f"dnslbctl: this is not the leader: it is c at {c.address}\n")


def test_what_the_leader_refuses_is_refused(three: list[Member], tried: Tried) -> None:
    for error, code in ((CommandRefused("no, since"), 1), (NoLeader("none is known"), 4)):
        three[0].shown.cluster_answer = error
        words = ["--address", three[0].address, "raft", "verify_leader"]
        assert tried.refused(*words) == (code, f"dnslbctl: {error}\n")


# -------------------------------------------------------------------------- whoever else is there


@contextmanager
def answering(*pieces: bytes, times: int = 1) -> Iterator[str]:
    """Somebody who answers each of some connections with these bytes, and then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(times):
                conn, _ = listener.accept()
                with conn:
                    conn.recv(65536)
                    for piece in pieces:
                        conn.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def test_the_port_of_the_metrics_is_no_raft_address(tried: Tried) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\n\r\nThere is nothing here.\n") as address:
        code, err = tried.refused("--address", address, "status")
    assert code == 3
    assert f"the daemon at {address} is no" in err.replace("is not a", "is no")
    assert "kubectl exec POD -- dnslbctl ..." in err
    assert "ssh -L" in err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"error":"x","kind":"not-leader","leader":{"address":"nowhere"}}', "names no address"),
        (b'{"error":"x","kind":"not-leader","leader":{}}', "names no address of the leader"),
        (b'{"error":"go on","kind":"not-leader","leader":7}', "dnslbctl: go on\n"),
        (
            b'{"error":"go there","kind":"control-socket","socket":"\\u0000abstract"}',
            "dnslbctl: go there\n",
        ),
        (
            b'{"error":"x","kind":"control-socket","socket":"/nonexistent"}',
            "no socket /nonexistent",
        ),
        (b'{"error":{"a":1},"sentences":7}', "{'a': 1}"),
        (b'{"error":"","sentences":7}', "answered HTTP status 421"),
    ],
)
def test_answers_that_lead_nowhere(answer: bytes, said: str, tried: Tried) -> None:
    with answering(b"HTTP/1.1 421 X\r\n\r\n", answer) as address:
        code, err = tried.refused("--address", address, "sync")
    assert code in (1, 3)
    assert said in err
    assert "Traceback" not in err


def test_one_that_drips_is_given_up(tried: Tried) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = threading.Event()

        def drip() -> None:
            conn, _ = listener.accept()
            with conn:
                conn.sendall(b"HTTP/1.1 200 OK\r\n")
                while not gone.wait(0.02):
                    conn.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        code, err = tried.refused("--timeout", "0.2", "--address", address, "status")
        gone.set()
        thread.join(10)
    assert (code, err) == (
        3,
        f"dnslbctl: the daemon at {address} did not answer within 0.2 s\n",
    )


def test_only_a_member_on_this_machine_sends_us_to_a_socket(
    plain: Member, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return ("192.0.2.1", 1)

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        sock = Away(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock

    monkeypatch.setattr(socket, "create_connection", connect)
    code, err = tried.refused("--address", plain.address, "sync")
    assert code == 1
    assert f"commands go through the control socket {plain.socket}" in err
    assert plain.shown.commands == []
