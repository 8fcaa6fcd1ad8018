"""A whole zone by AXFR (RFC 5936): for a look at many names at once, never for one change.

Only the records at the names asked for are kept; the rest is stepped over, by hand, since a
parser that makes an object of each record holds the event loop for a second where this takes a
few milliseconds at a time.

Law: a transfer counts only when it began and ended with the same SOA, each part was signed where
there is a key, and nothing came after; otherwise it is an error, never a part of the truth.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import trio

from dnslb.errors import ProviderTemporary
from dnslb.providers import rfc2136_errors as errors
from dnslb.providers.rfc2136_answer import Found, Records
from dnslb.providers.rfc2136_link import ANSWER_S_MAX, BrokenOff, Connection, ServerLink
from dnslb.providers.rfc2136_reading import Observed, Rtypes, unhurried
from dnslb.providers.rfc2136_wire import Request, name_wire, query

TRANSFER_BYTES_MAX = 1 << 30
TRANSFER_S_MAX = 20.0
"""For the whole; less than what a reading may take, so that there is time to ask instead."""
STEP_RECORDS = 500
"""Records between two turns of the event loop: one or two milliseconds."""
UNSIGNED_MAX = 99
"""Messages in a row that need no signature (RFC 8945 5.3.1)."""
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_A, _NS, _CNAME, _SOA, _AAAA, _DNAME, _TSIG = 1, 2, 5, 6, 28, 39, 250
_ADDRESSES = {_A: ("A", 4), _AAAA: ("AAAA", 16)}
_POINTERS_MAX = 127
NAME_BYTES_MAX = 255
_validate: Any = dns.tsig.validate  # dnspython leaves it without types


class BrokenTransfer(Exception):
    """What came is no whole transfer; ``str()`` says why."""


@dataclass(slots=True)
class _Kept:
    """What stood at the names asked for, by name and type: TTL and rdatas. ``cuts``: names below
    the apex with NS or DNAME."""

    addresses: dict[tuple[str, str], tuple[int, list[bytes]]] = field(default_factory=dict)
    aliases: dict[str, Found] = field(default_factory=dict)
    cuts: dict[bytes, int] = field(default_factory=dict)


class TransferReader:
    """Takes in the messages of one transfer; pure. ``wanted``: the names asked for, by what they
    are on the wire. ``request``: what the messages answer; ``signer``: None where nothing is
    signed."""

    def __init__(
        self, zone: str, wanted: Mapping[bytes, str], request: Request, signer: dns.tsig.Key | None
    ) -> None:
        self.zone = zone
        self._apex = name_wire(zone)
        self._wanted = wanted
        self._request = request
        self._seal = _Seal(request, signer)
        self._first_soa: str | None = None
        self.kept = _Kept()
        self.rcode = dns.rcode.NOERROR
        self.done = False

    def feed(self, message: bytes, wall: float) -> Iterator[None]:
        """Takes one message in, pausing now and then; to be exhausted. Raises `BrokenTransfer`
        and dnspython's errors of TSIG; sets `rcode`, and `done` at the end."""
        if self.done:
            raise BrokenTransfer("something came after its end")
        try:
            seal = yield from self._walk(message)
        except (struct.error, IndexError, ValueError, dns.exception.DNSException) as e:
            raise BrokenTransfer("a message is malformed") from e
        self._seal.check(message, seal, wall)
        if not self._seal.is_whole_after(self.done):
            raise BrokenTransfer("its last message is not signed")

    def _walk(self, message: bytes) -> Generator[None, None, _Place | None]:
        """All records of a message, to the signature at its end."""
        message_id, flags, questions, answers, *others = _HEADER.unpack_from(message)
        if message_id != self._request.id or not flags & 0x8000:
            raise BrokenTransfer("a message answers something else")
        self.rcode = dns.rcode.Rcode(flags & 0xF)
        suffixes: dict[int, bytes] = {}
        at = _HEADER.size
        for _ in range(questions):
            at = _name_at(message, at, suffixes)[1] + 4
        seal = None
        for count in range(answers + sum(others)):
            if count % STEP_RECORDS == STEP_RECORDS - 1:
                yield
            start = at
            owner, at = _name_at(message, at, suffixes)
            rtype, _, ttl, size = _RECORD.unpack_from(message, at)
            at += _RECORD.size
            if at + size > len(message):
                raise IndexError("a record is longer than its message")
            if count < answers:
                self._take(message, owner, rtype, ttl, at, size)
            elif rtype == _TSIG:
                seal = _Place(owner, start, at, size)
            at += size
        return seal

    def _take(self, message: bytes, owner: bytes, rtype: int, ttl: int, at: int, size: int) -> None:
        if self.done:
            raise BrokenTransfer("something came after its end")
        if rtype == _SOA and owner == self._apex:
            self._take_soa(_rdata(message, rtype, at, size).to_text())
            return
        if self._first_soa is None:
            raise BrokenTransfer("it did not begin with the SOA")
        if rtype in (_NS, _DNAME) and owner != self._apex:
            self.kept.cuts[owner] = min(rtype, self.kept.cuts.get(owner, rtype))
        name = self._wanted.get(owner)
        if name is None:
            return
        if rtype in _ADDRESSES:
            text, length = _ADDRESSES[rtype]
            if size != length:
                raise BrokenTransfer("an address is malformed")
            self.kept.addresses.setdefault((name, text), (ttl, []))[1].append(
                message[at : at + size]
            )
        elif rtype == _CNAME:
            rdata = _rdata(message, rtype, at, size)
            target = rdata.to_text().removesuffix(".").lower()
            wire: bytes = rdata.to_wire()  # type: ignore[assignment] # without a file: bytes
            self.kept.aliases[name] = Found(alias=Records(ttl, (wire,)), target=target)

    def _take_soa(self, soa: str) -> None:
        if self._first_soa is None:
            self._first_soa = soa
        elif soa == self._first_soa:
            self.done = True
        else:
            raise BrokenTransfer("the zone changed meanwhile")

    def cut_above(self, name: str) -> str | None:
        """The delegated or renamed name that makes ``name`` another zone's."""
        wire = own = name_wire(name)
        while len(wire) > len(self._apex):
            rtype = self.kept.cuts.get(wire)
            # A DNAME renames what is below it, not its own name (RFC 6672 2.3).
            if rtype == _NS or (rtype == _DNAME and wire != own):
                return dns.name.from_wire(wire, 0)[0].to_text(omit_final_dot=True)
            wire = wire[wire[0] + 1 :]
        return None


class _Place(NamedTuple):
    """Where a TSIG record stands: its owner, its own start, its data."""

    owner: bytes
    start: int
    rdata_at: int
    size: int


class _Seal:
    """The chain of signatures over all messages of one answer (RFC 8945 5.3.1)."""

    def __init__(self, request: Request, signer: dns.tsig.Key | None) -> None:
        self._mac = request.mac
        self._signer = signer
        self._context: Any = None
        self._unsigned = 0

    def is_whole_after(self, last: bool) -> bool:
        """Whether nothing is missing, if the message just checked was the ``last``."""
        return self._signer is None or not last or self._unsigned == 0

    def check(self, message: bytes, place: _Place | None, wall: float) -> None:
        if self._signer is None:
            return
        if place is None:
            self._unsigned += 1
            if self._context is None or self._unsigned > UNSIGNED_MAX:
                raise BrokenTransfer("it is not signed")
            self._context.update(message)
            return
        self._context = _validate(
            message,
            self._signer,
            dns.name.from_wire(place.owner, 0)[0],
            _rdata(message, _TSIG, place.rdata_at, place.size),
            int(wall),
            self._mac,
            place.start,
            self._context,
            True,
        )
        self._unsigned = 0


class TooLarge(Exception):
    """The zone has more bytes than the transfer was allowed; nothing was concluded."""


async def transfer(
    link: ServerLink, zone: str, rtypes: Rtypes, bytes_max: int = TRANSFER_BYTES_MAX
) -> Observed:
    """What stands at each name, of types A and AAAA, by a transfer of ``zone``; not yet confirmed.
    Raises `ProviderError`, and `TooLarge` as soon as more than ``bytes_max`` came."""
    wanted = {name_wire(name): name async for name in unhurried(rtypes)}
    request = link.sign(partial(query, zone, "AXFR"))
    reader = TransferReader(zone, wanted, request, link.signer)
    connection = await link.connect()
    try:
        with trio.fail_after(TRANSFER_S_MAX):
            await _receive(link, connection, reader, request, bytes_max)
    except (BrokenOff, BrokenTransfer, trio.TooSlowError, dns.exception.DNSException) as e:
        if (refused := errors.key_refused(link.server, e)) is not None:
            raise refused from e
        slow = isinstance(e, trio.TooSlowError)
        why = f"it took more than {TRANSFER_S_MAX:g} s" if slow else str(e) or type(e).__name__
        raise ProviderTemporary(
            f"The transfer of {zone} from the server {link.server} was dropped, since {why}."
        ) from e
    finally:
        await connection.aclose()
    return await _observed(link, reader, rtypes)


async def _receive(
    link: ServerLink,
    connection: Connection,
    reader: TransferReader,
    request: Request,
    bytes_max: int,
) -> None:
    await connection.send(request.wire, ANSWER_S_MAX)
    size = 0
    while not reader.done:
        message = await connection.receive(ANSWER_S_MAX)
        size += len(message)
        if size > bytes_max:
            raise TooLarge
        for _ in reader.feed(message, link.wall()):
            await trio.lowlevel.checkpoint()
        if reader.rcode != dns.rcode.NOERROR:
            raise errors.transfer_error(link.server, reader.zone, reader.rcode)
        await trio.lowlevel.checkpoint()


async def _observed(link: ServerLink, reader: TransferReader, rtypes: Rtypes) -> Observed:
    kept, observed = reader.kept, Observed(rtypes)
    absent = Found()
    async for name in unhurried(rtypes):
        at_all = kept.aliases.get(name, absent)
        if kept.cuts and (cut := reader.cut_above(name)):
            at_all = Found(elsewhere=str(errors.delegated(link.server, name, cut, reader.zone)))
        for rtype in rtypes[name]:
            records = kept.addresses.get((name, rtype)) if at_all is absent else None
            observed.found[name, rtype] = (
                Found(Records(records[0], tuple(records[1]))) if records else at_all
            )
    return observed


def _name_at(
    message: bytes, at: int, suffixes: dict[int, bytes], depth: int = 0
) -> tuple[bytes, int]:
    """The name there, in lower case and written out, and where it ends. ``suffixes``: what
    pointers of this message have led to so far."""
    start, parts = at, list[bytes]()
    while size := message[at]:
        if size >= 0xC0:
            target = (size & 0x3F) << 8 | message[at + 1]
            # Only backwards, and not for ever (RFC 1035 4.1.4).
            if target >= start or depth > _POINTERS_MAX:
                raise BrokenTransfer("a name points astray")
            tail = suffixes.get(target)
            if tail is None:
                tail = suffixes[target] = _name_at(message, target, suffixes, depth + 1)[0]
            return _joined(parts, tail), at + 2
        if size > 63:
            raise BrokenTransfer("a name is malformed")
        parts.append(message[at : at + size + 1])
        at += size + 1
    return _joined(parts, b"\0"), at + 1


def _joined(labels: list[bytes], tail: bytes) -> bytes:
    # Lengths are below 64, so that none of them is taken for a letter.
    name = b"".join(labels).lower() + tail
    if len(name) > NAME_BYTES_MAX:
        raise BrokenTransfer("a name is too long")
    return name


def _rdata(message: bytes, rtype: int, at: int, size: int) -> dns.rdata.Rdata:
    rclass = dns.rdataclass.ANY if rtype == _TSIG else dns.rdataclass.IN
    return dns.rdata.from_wire(rclass, dns.rdatatype.RdataType(rtype), message, at, size)
