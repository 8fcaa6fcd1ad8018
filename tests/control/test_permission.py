"""Who may ask what over the network, role by role."""

from __future__ import annotations

import json

import pytest

from dnslb.api.codec import Malformed
from dnslb.control.permission import RAFT_QUESTIONS, Denied, Permission, is_question
from dnslb.net.http_message import Request
from dnslb.net.peer import Peer
from dnslb.net.tls import CertificateNames
from dnslbctl.raftwords import COMMANDS

SOCKET = "/run/dnslb/here.sock"
PORT = Permission(SOCKET)
HERE = Peer(address=("127.0.0.1", 9))
AWAY = Peer(address=("192.0.2.9", 9))
STATUS = ("GET", "/v1/status", b"")
SYNC = ("POST", "/v1/commands", b'{"kind":"sync"}')
LEADER = ("POST", "/v1/raft", b'{"command":"leader"}')
REMOVE = ("POST", "/v1/raft", b'{"command":"remove_server","arguments":["a","0"]}')
Asked = tuple[str, str, bytes]


def request(asked: Asked, peer: Peer) -> Request:
    method, path, body = asked
    return Request(method, path, body=body, peer=peer)


def having(*roles: str) -> Peer:
    uris = tuple(f"urn:dnslb:role:{role}" for role in roles)
    return Peer(("192.0.2.9", 9), certificate=CertificateNames("alice", (), uris))


def denial(asked: Asked, peer: Peer, port: Permission = PORT) -> Denied:
    with pytest.raises(Denied) as denied:
        port.check(request(asked, peer))
    return denied.value


@pytest.mark.parametrize(
    ("roles", "looks", "steers"),
    [
        (("operator",), True, True),
        (("viewer",), True, False),
        (("member",), True, False),
        (("agent",), False, False),
        ((), False, False),
        (("Operator",), False, False),
        (("admin", "agent"), False, False),
        (("agent", "operator"), True, True),
        (("member", "viewer"), True, False),
    ],
)
def test_roles(roles: tuple[str, ...], looks: bool, steers: bool) -> None:
    for asked, allowed in ((STATUS, looks), (LEADER, looks), (SYNC, steers), (REMOVE, steers)):
        if allowed:
            PORT.check(request(asked, having(*roles)))
        else:
            assert denial(asked, having(*roles)).kind == "denied"


def test_what_a_refusal_says() -> None:
    assert str(denial(SYNC, having("viewer"))) == (
        "'alice' at 192.0.2.9:9 may look, but not steer: its certificate has role viewer, and this "
        "takes operator (dnslb pki issue NAME -role operator)"
    )
    assert str(denial(STATUS, having("agent"))) == (
        "'alice' at 192.0.2.9:9 may do nothing here: its certificate has role agent, and this "
        "takes viewer or operator (dnslb pki issue NAME -role viewer)"
    )
    assert "has no role, and" in str(denial(STATUS, having()))


def test_a_certificate_is_worth_no_more_on_the_machine_itself() -> None:
    peer = Peer(("127.0.0.1", 9), certificate=CertificateNames("a", (), ("urn:dnslb:role:agent",)))
    assert denial(STATUS, peer).kind == "denied"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_without_tls_this_machine_may_look(host: str) -> None:
    peer = Peer((host, 9))
    PORT.check(request(STATUS, peer))
    PORT.check(request(LEADER, peer))
    for asked in (SYNC, REMOVE):
        denied = denial(asked, peer)
        assert (denied.kind, denied.more) == ("control-socket", {"socket": SOCKET})
        assert f"commands go through the control socket {SOCKET}" in str(denied)


@pytest.mark.parametrize("peer", [AWAY, Peer(("fe80::1%eth0", 9)), Peer(("10.0.0.1", 9)), Peer()])
def test_without_tls_others_may_nothing(peer: Peer) -> None:
    for asked in (STATUS, LEADER, SYNC):
        denied = denial(asked, peer)
        assert (denied.kind, denied.more) == ("denied", {})
        assert "without TLS this member answers on its own machine only" in str(denied)


def test_insecure_lets_others_look_and_nobody_steer() -> None:
    port = Permission(SOCKET, insecure=True)
    port.check(request(STATUS, AWAY))
    assert denial(SYNC, AWAY, port).kind == "control-socket"
    assert denial(STATUS, having("agent"), port).kind == "denied"


# ------------------------------------------------------------------------- questions and commands


def test_every_raft_command_is_one_or_the_other() -> None:
    assert set(COMMANDS) - RAFT_QUESTIONS == {
        *("add_nonvoter", "add_voter", "apply_log", "await", "barrier", "demote_voter", "forget"),
        *("leadership_transfer", "leadership_transfer_to_server", "remove_server"),
        *("shutdown", "snapshot"),
    }
    assert set(COMMANDS) >= RAFT_QUESTIONS


@pytest.mark.parametrize(
    ("method", "path", "command", "question"),
    [
        ("GET", "/v1/anything", "", True),
        ("HEAD", "/v1/status", "", True),
        ("POST", "/v1/raft", "stats", True),
        ("POST", "/v1/raft", "STATS", False),
        ("POST", "/v1/raft", "unheard_of", False),
        ("POST", "/v1/raft/", "stats", False),
        ("POST", "/v1/%72aft", "stats", False),
        ("POST", "/v1/commands", "stats", False),
        ("PUT", "/v1/raft", "stats", False),
        ("DELETE", "/v1/status", "", False),
        ("OPTIONS", "*", "", False),
    ],
)
def test_what_is_not_known_to_be_a_question_is_a_command(
    method: str, path: str, command: str, question: bool
) -> None:
    body = json.dumps({"command": command}).encode() if command else b""
    assert is_question(Request(method, path, body=body)) is question


@pytest.mark.parametrize("body", [b"", b"[]", b'{"command":1}', b'{"command":"stats","x":1}'])
def test_what_is_neither_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        PORT.check(request(("POST", "/v1/raft", body), HERE))
