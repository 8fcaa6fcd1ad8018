"""Who is at the other end of a connection, as far as the kernel or a certificate says so.

Not what the peer says about itself: nothing here comes out of a request.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address

import trio

from dnslb.net.listen import join_address
from dnslb.net.tls import CertificateNames

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class UnixCredentials:
    """The process that connected, at the moment it did (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Peer:
    """``address`` over TCP, ``credentials`` over a unix socket, ``certificate`` after a TLS
    handshake that required one."""

    address: tuple[str, int] | None = None
    credentials: UnixCredentials | None = None
    certificate: CertificateNames | None = None

    @property
    def account(self) -> Hashable:
        """Whose connections are counted together: one address, or one user of this machine. Of
        IPv6 it is a /64, the least that one host has (RFC 7421)."""
        if self.credentials is not None:
            return self.credentials.uid
        return _network(self.address[0]) if self.address else ""

    @property
    def owner(self) -> Hashable:
        """The same where it is known: whom the certificate names, wherever they come from."""
        return self.certificate or self.account

    def __str__(self) -> str:
        where = join_address(*self.address) if self.address else "an unnamed peer"
        if self.credentials is not None:
            where = f"process {self.credentials.pid} of user {self.credentials.uid}"
        name = self.certificate.common_name if self.certificate else None
        return f"{name!r} at {where}" if name else where


def _network(host: str) -> str:
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


def read_peer(stream: trio.abc.Stream) -> Peer:
    """Who is at the other end; empty for streams that are no sockets.

    The certificate is there only after the handshake. Raises OSError when the peer is gone.
    """
    certificate = None
    if isinstance(stream, trio.SSLStream):
        if stream.server_side and _handshake_done(stream):
            certificate = CertificateNames.from_peercert(stream.getpeercert())
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return Peer(certificate=certificate)
    sock = stream.socket
    if sock.family == socket.AF_UNIX:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return Peer(credentials=UnixCredentials(*_UCRED.unpack(raw)), certificate=certificate)
    host, port = sock.getpeername()[:2]
    return Peer(address=(host, port), certificate=certificate)


def _handshake_done(stream: trio.SSLStream[trio.abc.Stream]) -> bool:
    try:
        return stream.version() is not None
    except trio.NeedHandshakeError:
        return False
