"""DNS messages that we send, as bytes: queries, updates with prerequisites, transfers; signed.

Not a parser: answers are read by dnspython. Written by hand since dnspython needs 27 ms of the
event loop for an update of 200 changes, and this 2 ms (decisions/dns-messages-by-hand). Pure: ids
and time come in as arguments.

Law: what `Update` writes means exactly the claims and changes that it was given (RFC 2136 2.4
and 2.5), and whatever is too large for one message says so instead of being cut.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.tsig
from dns.rdtypes.ANY.TSIG import TSIG

from dnslb.providers.rfc2136_key import TsigKey

MESSAGE_BYTES_MAX = 65_535
FUDGE_S = 300
_TSIG: Any = TSIG  # dnspython leaves these two without types
_sign: Any = dns.tsig.sign
_OPCODE_UPDATE = 5 << 11
_IN, _NONE, _ANY = 1, 254, 255
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_QUESTION = struct.Struct("!HH")
_POINTER_MAX = 0x3FFF
_TSIG_ROOM = 400  # key name, algorithm name and MAC at their longest, and the fixed rest
RTYPES = {"A": 1, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "AXFR": 252}


class MessageTooLarge(ValueError):
    """More than one DNS message can hold."""


@dataclass(frozen=True, slots=True)
class Request:
    """A message ready to be sent; ``mac`` is what its answer's signature rests on."""

    wire: bytes
    mac: bytes = b""

    @property
    def id(self) -> int:
        return int.from_bytes(self.wire[:2], "big")


@dataclass(frozen=True, slots=True)
class Claim:
    """What is believed of one RRset: it holds exactly ``rdatas``; none at all when empty."""

    name: str
    rtype: str
    rdatas: tuple[bytes, ...] = ()


def address_rdata(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def text_rdata(text: str) -> bytes:
    """One string of at most 255 bytes."""
    data = text.encode("ascii")
    return bytes([len(data)]) + data


def name_wire(name: str) -> bytes:
    """An owner name without escapes, as `dnslb.model.names` makes them."""
    labels = name.split(".")
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"


def query(name: str, rtype: str, message_id: int) -> bytes:
    """A question without recursion: only what the server itself is sure of counts."""
    head = _HEADER.pack(message_id, 0, 1, 0, 0, 0)
    return head + name_wire(name) + _QUESTION.pack(RTYPES[rtype], _IN)


class Update:
    """An update of one zone in the making; the claims become its prerequisites."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self.claims: list[Claim] = []
        self._changes: list[tuple[str, int, int, int, bytes]] = []

    def claim(self, *claims: Claim) -> None:
        """The update takes place only if these hold, all of them."""
        self.claims += claims

    def delete(self, name: str, rtype: str) -> None:
        """Removes an RRset, if there is one."""
        self._changes.append((name, RTYPES[rtype], _ANY, 0, b""))

    def discard(self, name: str, rtype: str, rdata: bytes) -> None:
        """Removes one record of an RRset, if it is there."""
        self._changes.append((name, RTYPES[rtype], _NONE, 0, rdata))

    def replace(self, name: str, rtype: str, ttl: int, rdatas: Iterable[bytes]) -> None:
        """Puts this RRset in the place of what is there."""
        self.delete(name, rtype)
        for rdata in rdatas:
            self._changes.append((name, RTYPES[rtype], _IN, ttl, rdata))

    def to_wire(self, message_id: int) -> bytes:
        """The whole update. Raises `MessageTooLarge`."""
        return self._to_wire(message_id, self._changes)

    def to_rehearsal(self, message_id: int) -> bytes:
        """The prerequisites alone, which change nothing. Raises `MessageTooLarge`."""
        return self._to_wire(message_id, [])

    def _to_wire(self, message_id: int, changes: list[tuple[str, int, int, int, bytes]]) -> bytes:
        names = _Names(self._zone)
        conditions = [_condition(claim) for claim in self.claims]
        count = sum(len(records) for records in conditions)
        names.out += _HEADER.pack(message_id, _OPCODE_UPDATE, 1, count, len(changes), 0)
        names.write(self._zone)
        names.out += _QUESTION.pack(RTYPES["SOA"], _IN)
        for records in (*conditions, changes):
            for name, rtype, rclass, ttl, rdata in records:
                names.write(name)
                names.out += _RECORD.pack(rtype, rclass, ttl, len(rdata))
                names.out += rdata
        if len(names.out) > MESSAGE_BYTES_MAX - _TSIG_ROOM:
            raise MessageTooLarge(f"{len(names.out)} bytes")
        return bytes(names.out)


def _condition(claim: Claim) -> list[tuple[str, int, int, int, bytes]]:
    rtype = RTYPES[claim.rtype]
    if not claim.rdatas:
        return [(claim.name, rtype, _NONE, 0, b"")]
    # The TTL of a prerequisite must be 0, else it is a format error (RFC 2136 3.2.4).
    return [(claim.name, rtype, _IN, 0, rdata) for rdata in claim.rdatas]


class _Names:
    """Bytes in the making, in which a name that stands there already is pointed to."""

    def __init__(self, zone: str) -> None:
        self.out = bytearray()
        self._zone = zone
        self._places: dict[str, int] = {}

    def write(self, name: str) -> None:
        place = self._places.get(name)
        if place is not None:
            self.out += (0xC000 | place).to_bytes(2, "big")
            return
        if len(self.out) <= _POINTER_MAX:
            self._places[name] = len(self.out)
        zone = self._zone
        if name != zone and name.endswith("." + zone):
            self.out += name_wire(name[: -len(zone) - 1])[:-1]
            self.write(zone)
        else:
            self.out += name_wire(name)


def signed(wire: bytes, key: TsigKey | None, wall: float) -> Request:
    """``wire`` with a TSIG record at its end (RFC 8945); as it is without a key. ``wall``:
    seconds of the wall clock, which the server compares with its own."""
    if key is None:
        return Request(wire)
    signer = dns_key(key)
    blank = _TSIG(
        dns.rdataclass.ANY,
        dns.rdatatype.TSIG,
        signer.algorithm,
        0,
        FUDGE_S,
        b"",
        int.from_bytes(wire[:2], "big"),
        0,
        b"",
    )
    tsig, _ = _sign(wire, signer, blank, int(wall), b"")
    rdata: bytes = tsig.to_wire()
    count = int.from_bytes(wire[10:12], "big") + 1
    record = _RECORD.pack(dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(rdata))
    whole = wire[:10] + count.to_bytes(2, "big") + wire[12:]
    return Request(whole + name_wire(key.name) + record + rdata, tsig.mac)


class _QuietKey(dns.tsig.Key):
    """dnspython's own shows the secret to whoever prints it, or a traceback with its variables."""

    def __repr__(self) -> str:
        return f"<TSIG key {self.name}>"


def dns_key(key: TsigKey) -> dns.tsig.Key:
    """As dnspython wants it."""
    return _QuietKey(dns.name.from_text(key.name), key.secret, dns.name.from_text(key.algorithm))
