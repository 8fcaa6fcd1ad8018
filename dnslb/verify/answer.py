"""What one server says at one name: an answer that counts, or why it is none.

Pure: a DNS message in, a value out. What it means for a change is not judged here.

Law: only an authoritative answer to our question says anything; "there is nothing" is an answer,
SERVFAIL, REFUSED and silence are not.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

_SHOWN_MAX = 4
_PAYLOAD_MAX = 1232
"""Bytes that reach everybody in one piece (DNS flag day 2020); what is longer comes by TCP."""


@dataclass(frozen=True, slots=True)
class Records:
    """Addresses in canonical form, in no order; none: the server says that nothing is there.
    ``alias``: the target of a CNAME that stands there instead."""

    values: tuple[str, ...] = ()
    ttl: int = 0
    alias: str | None = None

    def __str__(self) -> str:
        """``answers 192.0.2.1, 192.0.2.2``."""
        if self.alias is not None:
            return f"answers a CNAME to {self.alias}"
        if not self.values:
            return "answers that nothing is there"
        shown = ", ".join(sorted(self.values)[:_SHOWN_MAX])
        more = len(self.values) - _SHOWN_MAX
        return f"answers {shown}{f' and {more} more' if more > 0 else ''} (TTL {self.ttl})"


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer that counts; ``sentence`` goes on after the server's name. ``unreachable``: this
    machine has no way to such an address at all."""

    sentence: str
    unreachable: bool = False

    def __str__(self) -> str:
        return self.sentence


Answer = Records | Silence


def question(name: str, rtype: str) -> dns.message.QueryMessage:
    """For one server's own word: no recursion, a random id."""
    query = dns.message.make_query(name, rtype, flags=0, use_edns=0, payload=_PAYLOAD_MAX)
    assert isinstance(query, dns.message.QueryMessage)
    return query


def to_answer(query: dns.message.Message, message: dns.message.Message) -> Answer:
    """``message`` is a response to ``query``, with all its records."""
    rcode = message.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Silence(f"answers {dns.rcode.to_text(rcode)}")
    if not message.flags & dns.flags.AA:
        return Silence("answers without authority, so it does not serve this zone")
    asked = query.question[0]
    alias = _at(message, asked.name, dns.rdatatype.CNAME)
    if alias is not None:
        return Records(ttl=alias.ttl, alias=alias[0].target.to_text(omit_final_dot=True))
    found = _at(message, asked.name, asked.rdtype)
    if found is None or asked.rdtype not in (dns.rdatatype.A, dns.rdatatype.AAAA):
        return Records()
    return Records(tuple(str(ipaddress.ip_address(rdata.address)) for rdata in found), found.ttl)


def to_targets(query: dns.message.Message, message: dns.message.Message) -> tuple[str, ...]:
    """The hosts that an NS RRset names."""
    found = _at(message, query.question[0].name, dns.rdatatype.NS)
    return tuple(rdata.target.to_text(omit_final_dot=True) for rdata in found or ())


def _at(
    message: dns.message.Message, name: dns.name.Name, rtype: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    for rrset in message.answer:
        if rrset.rdtype == rtype and rrset.name == name:
            return rrset
    return None
