"""Speaks to members of a raft cluster over the network, and finds the one that leads.

The requests are those of `client`; what differs is the connection, and that an answer may send us
on: to the leader, or on this machine to the control socket. TLS is in `secure`, which is loaded
only when certificates are given.

Law: a request is sent on only by an answer that says that nothing was done; only a member on this
machine can send us to a socket.
"""

from __future__ import annotations

import socket
import time

from dnslbctl.cli import Usage
from dnslbctl.client import Broken, Client, Deadline, Elsewhere, Failed, NoLeader, Unreached
from dnslbctl.raftwords import MULTI

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Mapping, Sequence

    from dnslbctl.amember import AsyncMember
    from dnslbctl.cli import Call
    from dnslbctl.client import Reply
    from dnslbctl.secure import Credentials

MEMBERS_MAX = 64
HOPS_MAX = 3
PROBE_S = 2.0
PAUSE_S = 0.2
WITHOUT_TLS = (
    "hung up before it answered: where it was started with -raft-ca it wants --ca, --crt and --key"
)
BY_OTHER_WAYS = (
    "only members of a raft cluster listen for dnslbctl; with another election run it where the "
    "daemon runs: kubectl exec POD -- dnslbctl ..., or ssh HOST dnslbctl ..., or forward the "
    "socket: ssh -L /tmp/dnslb.sock:/run/dnslb/ID.sock HOST and --socket /tmp/dnslb.sock"
)


def split_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not (colon and host and host.isprintable() and port.isascii() and port.isdecimal()):
        raise ValueError(
            f"{text[:80]!r} is not host:port, such as fra-1:3648 or [2001:db8::1]:3648"
        )
    if not 0 < int(port[:6]) <= 65535:
        raise ValueError(f"{text[:80]!r}: a port from 1 to 65535 was expected")
    return host, int(port)


def split_members(text: str) -> list[str]:
    """The addresses in ``multi:///A,B,C``; raises ValueError."""
    members = [part.strip() for part in text.removeprefix(MULTI).split(",")]
    if not text.startswith(MULTI) or not all(members) or len(members) > MEMBERS_MAX:
        raise ValueError(f"{text[:80]!r} is not {MULTI}A,B,C with an address for each member")
    for member in members:
        split_address(member)
    return list(dict.fromkeys(members))


class RemoteClient(Client):
    """One member by its address. ``credentials`` None: without TLS."""

    stranger = f"is not a raft address of dnslb: {BY_OTHER_WAYS}"

    def __init__(
        self,
        address: str,
        timeout_s: float,
        credentials: Credentials | None = None,
        hops_left: int = HOPS_MAX,
    ) -> None:
        super().__init__(address, timeout_s)
        self.host, self.port = split_address(address)
        self.credentials = credentials
        if credentials is None:
            self.mute = WITHOUT_TLS
        self._hops_left = hops_left
        self._is_local = False

    def _exchange(self, method: str, target: str, body: bytes, timeout_s: float) -> Reply:
        try:
            return super()._exchange(method, target, body, timeout_s)
        except Elsewhere as error:
            return self._follow(error)._exchange(method, target, body, timeout_s)

    def _follow(self, error: Elsewhere) -> Client:
        """The client of whom the answer names; raises `Failed` where we do not go there."""
        if error.socket:
            if not (self._is_local and error.socket.startswith("/")):
                raise error
            return Client(error.socket, self.timeout_s)
        if self._hops_left <= 0:
            raise NoLeader(f"the members name each other as the leader; the last: {error}")
        try:
            return RemoteClient(
                error.address, self.timeout_s, self.credentials, self._hops_left - 1
            )
        except ValueError as malformed:
            raise Broken(self.path, f"names no address of the leader: {malformed}") from malformed

    def _connect(self, timeout_s: float) -> socket.socket:
        try:
            sock = socket.create_connection((self.host, self.port), timeout_s)
        except (OSError, UnicodeError) as error:
            raise self.unreached(error, timeout_s) from error
        peer = str(sock.getpeername()[0])
        self._is_local = peer.startswith("127.") or peer == "::1"
        if self.credentials is None:
            return sock
        try:
            return self.credentials.secure(sock, self.host)
        except OSError as error:
            sock.close()
            raise self.unreached(error, timeout_s) from error

    def unreached(self, error: Exception, timeout_s: float) -> Unreached:
        """Why no connection to it came about, TLS included."""
        why = ""
        if isinstance(error, OSError) and not isinstance(error, ConnectionRefusedError):
            why = self.credentials.why_refused(error) if self.credentials else ""
        if why:
            return Unreached(f"no daemon is reached at {self.path}: {why}")
        return Unreached(self._why_unreached(error, timeout_s))

    def _why_unreached(self, error: Exception, timeout_s: float) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"no daemon is reached: nobody listens at {self.path}; {BY_OTHER_WAYS}"
        if isinstance(error, (socket.gaierror, UnicodeError)):
            return f"no daemon is reached: the host of {self.path} is unknown"
        if isinstance(error, TimeoutError):
            return f"no daemon is reached: {self.path} did not answer within {timeout_s:g} s"
        return f"no daemon is reached at {self.path}: {getattr(error, 'strerror', '') or error}"

    def broken(self, error: OSError, limit_s: float) -> Unreached:
        # In TLS 1.3 a server judges our certificate after we sent our request, which is lost then.
        why = self.credentials.why_told(error) if self.credentials else ""
        if why:
            return Unreached(f"no daemon is reached at {self.path}: {why}")
        return super().broken(error, limit_s)


def given_members(call: Call) -> tuple[list[str], Credentials | None]:
    """The addresses in ``--address`` or ``--leader``, and what to show there; raises `Usage`."""
    given = call.given
    try:
        members = [given["--address"]] if "--address" in given else split_members(given["--leader"])
        split_address(members[0])
    except ValueError as error:
        option = "--address" if "--address" in given else "--leader"
        raise Usage(f"{option}: {error}", call.verb) from error
    credentials = None
    if "--ca" in given:
        from dnslbctl.secure import Credentials  # noqa: PLC0415 - ssl is slow to import

        credentials = Credentials(given["--ca"], given["--crt"], given["--key"])
    return members, credentials


def find_member(call: Call, timeout_s: float) -> RemoteClient:
    """The member that ``--address`` or ``--leader`` mean; raises `Failed` or `Usage`."""
    members, credentials = given_members(call)
    if "--address" in call.given:
        return RemoteClient(members[0], timeout_s, credentials)
    return find_leader(members, timeout_s, credentials)


def watch_members(call: Call, timeout_s: float) -> AsyncMember:
    """Whoever of the members in ``--address`` or ``--leader`` is there, leader or not: each shows
    the same, also while nobody leads. Raises `Unreached` or `Usage`."""
    from dnslbctl.amember import AsyncMember  # noqa: PLC0415 - no verb watches

    members, credentials = given_members(call)
    clients = [RemoteClient(member, timeout_s, credentials) for member in members]
    reasons = {}
    for number, client in enumerate(clients):
        try:
            client.probe()
        except Unreached as error:
            reasons[client.path] = error
        else:
            return AsyncMember(client, clients[number + 1 :] + clients[:number])
    if len(reasons) == 1:
        raise reasons[members[0]]
    raise _unreached({member: str(error) for member, error in reasons.items()})


def find_leader(
    members: Sequence[str], timeout_s: float, credentials: Credentials | None = None
) -> RemoteClient:
    """The client of the member that leads; raises `NoLeader`, or `Unreached` when none answers.

    A member's word is not enough: the one that it names has to say so itself.
    """
    deadline = Deadline(timeout_s)
    while True:
        heard, reasons = False, dict[str, str]()
        for member in members:
            probe = _Probe(min(PROBE_S, max(deadline.left_s, 0.1)), credentials, reasons)
            leader = probe.ask(member)
            heard = heard or probe.heard
            if leader is not None:
                return RemoteClient(leader, timeout_s, credentials)
            if deadline.left_s <= 0:
                break
        if not heard:
            raise _unreached(reasons)
        if deadline.left_s <= PAUSE_S:
            raise NoLeader(f"no leader within {timeout_s:g} s:{_listed(reasons)}")
        time.sleep(PAUSE_S)


def _unreached(reasons: Mapping[str, str]) -> Unreached:
    return Unreached(f"no member of the cluster is reached:{_listed(reasons)}\n{BY_OTHER_WAYS}")


def _listed(reasons: Mapping[str, str]) -> str:
    return "".join(f"\n  {member}: {_short(why)}" for member, why in reasons.items())


def _short(why: str) -> str:
    """Without what the heading says already, or says once for all."""
    return why.removeprefix("no daemon is reached: ").removesuffix(f"; {BY_OTHER_WAYS}")


class _Probe:
    """Asks one member who leads, then that one; ``reasons``: why nothing came of it."""

    def __init__(
        self, timeout_s: float, credentials: Credentials | None, reasons: dict[str, str]
    ) -> None:
        self._timeout_s = timeout_s
        self.credentials = credentials
        self._reasons = reasons
        self.heard = False

    def ask(self, member: str) -> str | None:
        """The address of the leader, which has said that it leads."""
        named = self._named_by(member)
        if named is None or named == member:
            return named
        if self._named_by(named) == named:
            return named
        self._reasons.setdefault(member, f"says that {named} leads, which does not")
        return None

    def _named_by(self, member: str) -> str | None:
        """The address of the leader as ``member`` knows it; its own when it leads itself."""
        client = RemoteClient(member, self._timeout_s, self.credentials)
        try:
            status = client.get("/status").value
        except Failed as error:
            self._reasons[member] = str(error)
            return None
        self.heard = True
        status = status if isinstance(status, dict) else {}
        if status.get("role") == "leader":
            return member
        leader = status.get("leader")
        address = leader.get("address") if isinstance(leader, dict) else None
        try:
            split_address(str(address or ""))
        except ValueError:
            self._reasons[member] = f"is {status.get('role')} and knows of no leader"
            return None
        return str(address)
