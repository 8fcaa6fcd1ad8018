"""Who may do what over the network: the roles in a certificate against what is asked.

Not the control socket: there the socket's mode decides. Pure.

Law: whatever is not known to be a question is a command. A command needs a certificate with role
operator; no role implies another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from dnslb.api.version import PREFIX
from dnslb.control.requests import to_cluster_command
from dnslb.net.http_message import Request
from dnslb.net.peer import Peer

OPERATOR = "operator"
LOOKS = frozenset((OPERATOR, "viewer", "member"))
RAFT_QUESTIONS = frozenset(
    (
        *("applied_index", "get_configuration", "last_contact", "last_index", "leader"),
        *("state", "stats", "verify_leader"),
    )
)


class Denied(Exception):
    """``str()`` is a sentence; ``kind`` and ``more`` go into the answer beside it."""

    def __init__(self, sentence: str, kind: str = "denied", **more: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.more: Mapping[str, str] = more


@dataclass(frozen=True, slots=True)
class Permission:
    """What is allowed at one port. ``socket``: the path of the control socket.

    ``insecure``: without TLS others than this machine are answered, too (-raft-insecure).
    """

    socket: str
    insecure: bool = False

    def check(self, request: Request) -> None:
        """Raises `Denied`, or `Malformed` for what is neither question nor command."""
        changes = not is_question(request)
        if request.peer.certificate is None:
            self._check_plain(request.peer, changes)
        else:
            _check_roles(request.peer, request.peer.certificate.roles, changes)

    def _check_plain(self, peer: Peer, changes: bool) -> None:
        if not (self.insecure or _is_local(peer)):
            raise Denied(
                "without TLS this member answers on its own machine only: run dnslbctl there, or "
                "give all members certificates (dnslb pki init, -raft-ca, -raft-crt, -raft-key)"
            )
        if changes:
            raise Denied(
                "without TLS this port answers questions only: commands go through the control "
                f"socket {self.socket} on its machine",
                "control-socket",
                socket=self.socket,
            )


def _check_roles(peer: Peer, roles: frozenset[str], changes: bool) -> None:
    if roles & (LOOKS if not changes else {OPERATOR}):
        return
    having = f"role {', '.join(sorted(roles))}" if roles else "no role"
    wanted = OPERATOR if changes else f"viewer or {OPERATOR}"
    may = "may look, but not steer" if roles & LOOKS else "may do nothing here"
    raise Denied(
        f"{peer} {may}: its certificate has {having}, and this takes {wanted} "
        f"(dnslb pki issue NAME -role {wanted.split()[0]})"
    )


def is_question(request: Request) -> bool:
    """Whether the answer changes nothing. Raises `Malformed`."""
    if request.method in ("GET", "HEAD"):
        return True
    if (request.method, request.path) != ("POST", f"{PREFIX}/raft"):
        return False
    return to_cluster_command(request.body, "").name in RAFT_QUESTIONS


def _is_local(peer: Peer) -> bool:
    return peer.address is not None and ip_address(peer.address[0].split("%")[0]).is_loopback
