"""What an authoritative server's answer says of a name, and of the zone it lies in; pure.

Law: an absence counts only with the zone's SOA beside it (RFC 2308 2), data only with the AA bit.
Anything else is an error, and never "nothing there"; one that concerns the one name alone is a
value, so that the others of the zone can still be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnslb.errors import ProviderRefusal, ProviderTemporary
from dnslb.model.names import is_within
from dnslb.providers import rfc2136_errors as errors
from dnslb.providers.rfc2136_errors import Server


@dataclass(frozen=True, slots=True)
class Records:
    """An RRset as it is on the wire; no rdatas: it is positively absent."""

    ttl: int = 0
    rdatas: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer says. ``alias``: the CNAME at the name, ``target`` as text. ``renamed``: the
    alias was made up from a DNAME above, and stands nowhere itself. ``elsewhere``: the sentence
    that says that this one name belongs to another zone, so nothing in this one counts there."""

    records: Records = Records()
    alias: Records = Records()
    target: str = ""
    renamed: bool = False
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    name: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Not authoritative; ``cut``: the name that is delegated, if the server knows."""

    cut: str | None


class Alias:
    """At the name there is a CNAME or a DNAME, so that it is no zone itself."""


def found_at(
    server: Server, zone: str, name: str, rtype: str, answer: dns.message.Message
) -> Found:
    """What stands at ``name``. Raises `ProviderError` when the answer does not say."""
    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise errors.query_error(server, zone, rcode)
    owner, wanted = dns.name.from_text(name), dns.rdatatype.from_text(rtype)
    if not answer.flags & dns.flags.AA:
        cut = _cut(answer, owner)
        if cut is not None and is_within(cut, zone) and cut != zone:
            return Found(elsewhere=str(errors.delegated(server, name, cut, zone)))
        raise ProviderRefusal(
            f"The server {server} does not answer for {name} with authority, so {zone} is not "
            "there: look whether it is the primary, or into which view the key leads."
        )
    renamed = _is_renamed(answer, owner)
    for rrset in answer.answer:
        if rrset.name == owner and rrset.rdtype == wanted:
            return Found(records=_records(rrset))
        if rrset.name == owner and rrset.rdtype == dns.rdatatype.CNAME:
            target = rrset[0].to_text().removesuffix(".").lower()
            return Found(alias=_records(rrset), target=target, renamed=renamed)
    soa = _soa(answer.authority)
    if soa is None:
        raise ProviderTemporary(
            f"The server {server} answered for {name} {rtype} with neither records nor the SOA "
            "that would say that there are none."
        )
    if soa != dns.name.from_text(zone):
        return Found(elsewhere=moved(name, zone, _text(soa)))
    return Found()


def zone_in(server: Server, name: str, answer: dns.message.Message) -> Zone | Elsewhere | Alias:
    """What the answer to a query for the SOA of ``name`` says of its zone. Not for REFUSED."""
    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise errors.query_error(server, name, rcode)
    owner = dns.name.from_text(name)
    if not answer.flags & dns.flags.AA:
        return Elsewhere(_cut(answer, owner))
    if _is_renamed(answer, owner) or any(
        rrset.name == owner and rrset.rdtype == dns.rdatatype.CNAME for rrset in answer.answer
    ):
        return Alias()
    apex = _soa(answer.answer) or _soa(answer.authority)
    if apex is None or not owner.is_subdomain(apex):
        raise ProviderTemporary(
            f"The server {server} answered for {name} SOA without the SOA of its zone."
        )
    return Elsewhere(None) if apex == dns.name.root else Zone(_text(apex))


def moved(name: str, zone: str, actual: str | None) -> str:
    """The sentence for a name that is in ``actual`` now. Raises `ProviderRefusal` when that is
    no part of ``zone``: then the whole zone is gone."""
    where = f"in the zone {actual}" if actual else "elsewhere"
    sentence = (
        f"{name} is no longer in {zone} but {where}: nothing was written there, and its zone is "
        "looked for again."
    )
    if actual is None or not is_within(actual, zone):
        raise ProviderRefusal(sentence)
    return sentence


def _cut(answer: dns.message.Message, owner: dns.name.Name) -> str | None:
    """The name at or above ``owner`` that a referral says is delegated."""
    cuts = (
        rrset.name
        for rrset in answer.authority
        if rrset.rdtype == dns.rdatatype.NS and owner.is_subdomain(rrset.name)
    )
    cut = next(cuts, dns.name.root)
    return None if cut == dns.name.root else _text(cut)


def _is_renamed(answer: dns.message.Message, owner: dns.name.Name) -> bool:
    return any(
        rrset.rdtype == dns.rdatatype.DNAME
        and rrset.name != owner
        and owner.is_subdomain(rrset.name)
        for rrset in answer.answer
    )


def _records(rrset: dns.rrset.RRset) -> Records:
    return Records(rrset.ttl, tuple(rdata.to_wire() for rdata in rrset))


def _soa(section: list[dns.rrset.RRset]) -> dns.name.Name | None:
    return next((r.name for r in section if r.rdtype == dns.rdatatype.SOA), None)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
