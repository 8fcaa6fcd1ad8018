"""dnslbctl over the network, both ends together: real sockets, real TLS, real refusals."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.daemon.verbs.authority import Role, Wish
from dnslb.model.cluster import ClusterReply
from dnslb.net.tls import TlsFiles, server_context
from dnslbctl.remote import split_address, split_members
from tests.dnslbctl.members import Member, Pki, Tried, options, running
from tests.doubles.operations import Shown, ep, lb, picture
from tests.net.certificates import encrypt_key

STATUS = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
LEADER = ClusterReply(('id: "fra-1"',), {"id": "fra-1"})


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def member(tmp_path: Path, pki: Pki) -> Iterator[Member]:
    """One member with TLS, which leads."""
    if not (pki.directory / "fra-1.crt").exists():
        pki.member("fra-1", "127.0.0.1", "localhost")
    files = TlsFiles(*(pki.directory / name for name in ("ca.crt", "fra-1.crt", "fra-1.key")))
    found = Member(tmp_path / "s", files, shown=Shown(STATUS, cluster_answer=LEADER))
    with running(found):
        yield found


def person(pki: Pki, role: Role, name: str = "") -> list[str]:
    """Options with a certificate of that role."""
    name = name or f"a-{role}"
    files = TlsFiles(*(pki.directory / f for f in ("ca.crt", f"{name}.crt", f"{name}.key")))
    if files.cert is not None and not files.cert.exists():
        pki.issue(Wish(name, role, ("127.0.0.1",) if role == "member" else ()))
    return options(files)


# ------------------------------------------------------------------------------ with certificates


def test_an_operator_looks_and_steers(member: Member, pki: Pki, tried: Tried) -> None:
    there = ["--address", member.address, *person(pki, "operator", "alice")]
    code, out, err = tried.ctl(*there, "--json", "status")
    assert (code, json.loads(out)["instance_id"], err) == (0, "here", "")
    assert tried.ctl(*there, "endpoints")[1].count("tcp://") == 1
    assert tried.ctl(*there, "events")[0] == 0
    assert tried.ctl(*there, "sync") == (0, "done\n", "")
    assert tried.ctl(*there, "--yes", "raft", "remove_server", "b", "0")[:2] == (
        0,
        'id: "fra-1"\n',
    )
    assert [command.by for command, _ in member.shown.commands] == ["alice"]
    assert [command.by for command in member.shown.cluster_commands] == ["alice"]
    assert member.refusals == []


@pytest.mark.parametrize(("role", "looks"), [("viewer", True), ("member", True), ("agent", False)])
def test_the_others_do_less(
    member: Member, pki: Pki, tried: Tried, role: Role, looks: bool
) -> None:
    there = ["--address", member.address, *person(pki, role)]
    for words in (["status"], ["raft", "leader"]):
        assert tried.ctl(*there, *words)[0] == (0 if looks else 1)
    for words in (["sync"], ["--yes", "raft", "shutdown"]):
        code, err = tried.refused(*there, *words)
        assert code == 1
        assert f"'a-{role}' at 127.0.0.1:" in err
        assert ("may look, but not steer" if looks else "may do nothing here") in err
        assert f"its certificate has role {role}, and this takes operator" in err
    assert member.shown.commands == []
    assert len(member.shown.cluster_commands) == int(looks)


def test_certificates_that_the_member_refuses(
    member: Member, pki: Pki, tried: Tried, tmp_path: Path
) -> None:
    ours = pki.directory / "ca.crt"
    foreign = Pki(tmp_path / "foreign").issue(Wish("eve", "operator"), trusting=ours)
    old = Pki(tmp_path / "old", began_days_ago=9)
    expired = old.issue(Wish("bob", "operator", days=1))
    for files, why in (
        (foreign, "it refuses our certificate: it comes from another CA than its own"),
        (replace(expired, ca=ours), "it refuses our certificate: it comes from another CA"),
    ):
        for words in (["status"], ["sync"]):
            code, err = tried.refused("--address", member.address, *options(files), *words)
            assert code == 3
            assert err.startswith(f"dnslbctl: no daemon is reached at {member.address}: {why}")
            assert "may or may not" not in err
    assert member.shown.commands == []


def test_a_certificate_that_has_expired(tried: Tried, tmp_path: Path) -> None:
    old = Pki(tmp_path / "old", began_days_ago=9)
    server = old.issue(Wish("fra-1", "member", ("127.0.0.1",)))
    expired = old.issue(Wish("bob", "operator", days=1))
    late = old.issue(Wish("fra-2", "member", ("127.0.0.1",), days=1))
    with running(one := Member(tmp_path / "a", server), two := Member(tmp_path / "b", late)):
        code, err = tried.refused("--address", one.address, *options(expired), "sync")
        assert code == 3
        assert err.endswith(f"at {one.address}: it refuses our certificate: expired\n")
        code, err = tried.refused("--address", two.address, *options(server), "status")
        assert code == 3
        assert err.endswith(f"at {two.address}: its certificate has expired\n")


def test_members_that_dnslbctl_refuses(
    member: Member, pki: Pki, tried: Tried, tmp_path: Path
) -> None:
    foreign = Pki(tmp_path / "foreign")
    alice = foreign.issue(Wish("alice", "operator"))
    code, err = tried.refused("--address", member.address, *options(alice), "status")
    assert code == 3
    assert "its certificate comes from another CA than --ca names" in err
    elsewhere = pki.issue(Wish("elsewhere", "member", ("192.0.2.1", "fra-9.example.org")))
    agent = pki.issue(Wish("stand-in", "agent"))
    for files, why in (
        (elsewhere, "is for other addresses than the one that was asked for"),
        (agent, "is not a member's"),
    ):
        with running(other := Member(tmp_path / f"{files.cert}"[-9:], files)):
            there = ["--address", other.address, *person(pki, "operator", "alice")]
            code, err = tried.refused(*there, "sync")
        assert code == 3
        assert f"its certificate {why}" in err
        assert other.shown.commands == []


def test_an_end_that_was_not_announced_is_no_end(pki: Pki, tried: Tried) -> None:
    context = server_context(pki.member("cut-off"))
    answer = b"HTTP/1.1 200 OK\r\nDnslb-Version: 1\r\nDnslb-Time: 2026-01-01T00:00:00Z\r\n\r\n[]"

    def serve(listener: socket.socket) -> None:
        for announced in (True, False):
            conn, _ = listener.accept()
            with context.wrap_socket(conn, server_side=True) as stream:
                stream.recv(65536)
                stream.sendall(answer)
                with contextlib.suppress(OSError):  # the client hears it, and hangs up
                    if announced:
                        stream.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        there = ["--address", address, *person(pki, "viewer")]
        assert tried.ctl(*there, "--json", "members") == (0, "[]\n", "")
        code, err = tried.refused(*there, "--json", "members")
        thread.join(10)
    assert code == 3
    assert f"the daemon at {address} broke the connection off" in err


def test_a_file_at_fault_is_named(pki: Pki, tried: Tried, tmp_path: Path) -> None:
    good = pki.issue(Wish("carol", "operator"))
    other = pki.issue(Wish("dave", "operator"))
    junk, locked = tmp_path / "junk", tmp_path / "locked"
    junk.write_text("junk")
    assert good.key is not None
    locked.write_bytes(good.key.read_bytes())
    encrypt_key(locked)
    damaged = tmp_path / "damaged"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for files, why in (
        (replace(good, ca=tmp_path / "none"), "none cannot be read: No such file"),
        (replace(good, cert=junk), f"--crt {junk}: a PEM file with a certificate was expected"),
        (replace(good, key=good.cert), "a PEM file with a private key was expected"),
        (replace(good, ca=damaged), f"--ca {damaged}: damaged, or no certificate"),
        (replace(good, cert=damaged), "damaged, or not a pair"),
        (replace(good, key=other.key), f"--key {other.key} does not belong to --crt {good.cert}"),
        (replace(good, key=locked), f"--key {locked}: the key is encrypted"),
    ):
        code, err = tried.refused("--address", "127.0.0.1:1", *options(files), "status")
        assert (code, err.count("\n")) == (1, 1)
        assert why in err


# ------------------------------------------------------------------------------------ without TLS


def test_without_tls_it_looks_and_steers_through_the_socket(plain: Member, tried: Tried) -> None:
    there = ["--address", plain.address]
    assert tried.ctl(*there, "status")[0] == 0
    assert tried.ctl(*there, "raft", "leader") == (0, 'id: "fra-1"\n', "")
    assert tried.ctl(*there, "sync") == (0, "done\n", "")
    assert tried.ctl(*there, "raft", "add_voter", "b", "b:1", "0")[0] == 0
    # Who steered is known by the socket: there is a user, where the port knows an address.
    assert "127.0.0.1" not in plain.shown.commands[0][0].by
    assert [command.name for command in plain.shown.cluster_commands] == ["leader", "add_voter"]


def test_the_socket_s_mode_decides_then(plain: Member, tried: Tried) -> None:
    plain.socket.unlink()
    code, err = tried.refused("--address", plain.address, "sync")
    assert code == 3
    assert f"there is no socket {plain.socket}" in err
    assert plain.shown.commands == []


def test_tls_to_a_member_without(plain: Member, pki: Pki, tried: Tried) -> None:
    there = ["--address", plain.address, *person(pki, "operator", "alice")]
    code, err = tried.refused(*there, "sync")
    assert code == 3
    assert "it hung up: it may serve without TLS, or its log says why" in err


def test_no_tls_to_a_member_with(member: Member, tried: Tried) -> None:
    code, err = tried.refused("--address", member.address, "status")
    assert code == 3
    assert "where it was started with -raft-ca it wants --ca, --crt and --key" in err


# ------------------------------------------------------------------------------- words and usage


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--address a:1 --leader multi:///a:1 status", "--address and --leader exclude each"),
        ("--socket s --address a:1 status", "--socket and --address exclude each other"),
        ("--ca a --crt b --key c status", "--ca goes with --address or --leader"),
        ("--socket s --ca a status", "--ca goes with --address or --leader"),
        ("--address a:1 --ca a status", "--ca, --crt and --key go together"),
        ("--address a status", "--address: 'a' is not host:port"),
        ("--address ::1:1 status", "--address: '::1:1' is not host:port"),
        ("--address a:0 status", "a port from 1 to 65535 was expected"),
        ("--leader a:1 status", "--leader: 'a:1' is not multi:///A,B,C"),
        ("--leader multi:///a:1, status", "is not multi:///A,B,C"),
        ("raft --timeout x leader", "--timeout: 'x' is no duration"),
        ("raft --ca a leader", "--ca goes with --address or --leader"),
    ],
)
def test_wrong_words_are_usage(words: str, said: str, tried: Tried) -> None:
    code, err = tried.refused(*words.split())
    assert code == 2
    assert said in err


def test_addresses() -> None:
    assert split_address("[2001:db8::1]:3648") == ("2001:db8::1", 3648)
    assert split_members("multi:///a:1,b:2,a:1") == ["a:1", "b:2"]
    with pytest.raises(ValueError, match="is not host:port"):
        split_members("multi:///a:1,b")


def test_what_cannot_be_taken_back_wants_a_yes(plain: Member, tried: Tried) -> None:
    for words in (["remove_server", "b", "0"], ["demote_voter", "b", "0"], ["shutdown"]):
        code, err = tried.refused("--address", plain.address, "raft", *words)
        assert (code, err) == (
            1,
            f"dnslbctl: {words[0]} wants --yes, since nobody can be asked here\n",
        )
    assert plain.shown.cluster_commands == []


def test_raftadmin_never_asks(plain: Member, pki: Pki, member: Member, tried: Tried) -> None:
    assert tried.raftadmin(plain.address, "shutdown") == (0, 'id: "fra-1"\n', "")
    assert tried.raftadmin("--leader", f"multi:///{plain.address}", "leader")[0] == 0
    assert tried.raftadmin("-leader", plain.address, "leader")[0] == 0
    assert tried.raftadmin("-json", plain.address, "leader")[1] == '{"id":"fra-1"}\n'
    files = [word.replace("--", "-") for word in person(pki, "viewer")]
    assert tried.raftadmin(*files, member.address, "leader")[0] == 0
    code, out, err = tried.raftadmin(*files, member.address, "shutdown")
    assert (code, out) == (1, "")
    assert err.startswith("raftadmin: 'a-viewer' at 127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-timeout x a:1 leader", "raftadmin: --timeout: 'x' is no duration"),
        ("a leader", "raftadmin: --address: 'a' is not host:port"),
        ("-ca x a:1 leader", "raftadmin: --ca, --crt and --key go together"),
        ("-nonsense a:1 leader", "Usage: raftadmin <host:port> <command> <args...>\nCommands:"),
    ],
)
def test_raftadmin_with_wrong_words(words: str, said: str, tried: Tried) -> None:
    code, out, err = tried.raftadmin(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith(said)
