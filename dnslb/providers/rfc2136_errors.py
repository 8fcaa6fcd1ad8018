"""What a DNS server answers and what goes wrong with it, as errors with a sentence each; pure.

Not the place where a failed prerequisite is explained: that needs a look at the zone.

Law: each sentence names the server or the zone, and what a person has to change; and no error is
called harmless that leaves open whether a write took place.
"""

from __future__ import annotations

from dataclasses import dataclass

import dns.rcode
import dns.tsig

from dnslb.errors import ProviderError, ProviderRefusal, ProviderTemporary
from dnslb.model.names import marker_name
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_wire import FUDGE_S

UNMET = frozenset({dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN})
"""A prerequisite of an update does not hold; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked, and with which key."""

    host: str
    port: int
    key: TsigKey | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def key_words(self) -> str:
        return f"the key {self.key.name!r}" if self.key else "no key"


def query_error(server: Server, zone: str, rcode: dns.rcode.Rcode) -> ProviderError:
    """For an answer to a query that is neither data nor a positive absence."""
    if rcode == dns.rcode.REFUSED:
        return ProviderRefusal(
            f"The server {server} refuses queries for {zone}: either it does not serve that zone "
            f"or its 'allow-query' does not let {server.key_words} in."
        )
    if rcode == dns.rcode.NOTAUTH:
        return _not_authoritative(server, zone)
    if rcode == dns.rcode.SERVFAIL:
        return ProviderTemporary(
            f"The server {server} cannot answer for {zone} (SERVFAIL): its log says why the zone "
            "is not loaded."
        )
    return _unexpected(server, zone, rcode, "a query")


def update_error(
    server: Server, zone: str, rcode: dns.rcode.Rcode, *, marked: bool, rehearsed: bool = False
) -> ProviderError:
    """For an update that was not carried out, failed prerequisites apart. ``marked``: a marker
    is kept. ``rehearsed``: the same prerequisites were accepted just before, so the zone as such
    takes updates from us."""
    if rcode == dns.rcode.REFUSED:
        return ProviderRefusal(_refused(server, zone, marked=marked, rehearsed=rehearsed))
    if rcode == dns.rcode.NOTAUTH:
        return _not_authoritative(server, zone)
    if rcode == dns.rcode.NOTIMP:
        return ProviderRefusal(
            f"The server {server} takes no updates for {zone} (NOTIMP): set -bind-server to the "
            "primary of the zone, not to a secondary."
        )
    if rcode == dns.rcode.NOTZONE:
        return ProviderRefusal(
            f"The server {server} says that a name of the update lies outside {zone} (NOTZONE): "
            "look whether that part became a zone of its own."
        )
    if rcode == dns.rcode.SERVFAIL:
        # Of an update whose prerequisites the same server has just accepted, it may be about the
        # records of one name: the others of the zone must not wait for it.
        kind = ProviderRefusal if rehearsed else ProviderTemporary
        return kind(
            f"The server {server} could not carry out an update of {zone} (SERVFAIL): look into "
            "its log for a full disk, a journal (.jnl) that named may not write, or an RRset "
            "with more than 'max-records-per-type' (100) records."
        )
    return _unexpected(server, zone, rcode, "an update")


def transfer_error(server: Server, zone: str, rcode: dns.rcode.Rcode) -> ProviderError:
    if rcode == dns.rcode.REFUSED:
        named = f'{{ key "{server.key.name}."; }}' if server.key else "{ our address; }"
        return ProviderRefusal(
            f"The server {server} refuses to transfer {zone}: add 'allow-transfer {named};' to "
            "the zone in its named.conf."
        )
    return query_error(server, zone, rcode)


def key_refused(server: Server, error: Exception) -> ProviderError | None:
    """For what dnspython raises when the server refuses a signature; None for anything else."""
    key = server.key
    name = f"{key.name!r} ({key.algorithm})" if key else "that we did not use"
    if isinstance(error, dns.tsig.PeerBadKey):
        return ProviderRefusal(
            f"The server {server} does not know the key {name}: include the key file in its "
            "named.conf, with the same name and the same algorithm."
        )
    if isinstance(error, dns.tsig.PeerBadSignature):
        return ProviderRefusal(
            f"The server {server} knows the key {name} with another secret: give dnslb and named "
            "the same key file."
        )
    if isinstance(error, dns.tsig.PeerBadTime):
        return ProviderTemporary(
            f"The clocks of this machine and of the server {server} differ by more than "
            f"{FUDGE_S} s, so signatures do not count (BADTIME): set both by NTP."
        )
    if isinstance(error, dns.tsig.PeerBadTruncation):
        return ProviderRefusal(
            f"The server {server} wants a longer signature of the key {name} (BADTRUNC): give it "
            "a plain algorithm such as hmac-sha256."
        )
    return None


def no_trust(server: Server, why: str) -> ProviderTemporary:
    """For an answer that may be anybody's."""
    return ProviderTemporary(
        f"An answer in the name of the server {server} was dropped: {why}; look for a proxy or "
        "another server on that address."
    )


def unreachable(server: Server, why: str) -> ProviderTemporary:
    return ProviderTemporary(
        f"The server {server} cannot be reached by TCP: {why}; look whether named runs, listens "
        "on that address and no firewall stands between."
    )


def cut_off(server: Server, why: str) -> ProviderTemporary:
    """For a query without an answer; asking again is harmless."""
    return ProviderTemporary(
        f"The server {server} gave no answer: {why}; look into its log, and for a firewall between."
    )


def delegated(server: Server, name: str, cut: str, zone: str) -> ProviderRefusal:
    return ProviderRefusal(
        f"{name} is below the NS or DNAME record of {cut} in {zone}, so the server {server} does "
        f"not answer for it: set -bind-server to the primary of {cut}."
    )


def _refused(server: Server, zone: str, *, marked: bool, rehearsed: bool) -> str:
    who = f"The server {server} refuses to change {zone} for {server.key_words}"
    if server.key is None:
        return f"{who}: name a key by -bind-key-file that its 'update-policy' grants the zone to."
    policy = f'grant "{server.key.name}." zonesub A AAAA;'
    if marked:
        policy += f' grant "{server.key.name}." name {marker_name(zone)}. TXT;'
    advice = f"the zone in its named.conf needs 'update-policy {{ {policy} }};'"
    if rehearsed:
        return (
            f"{who} though it takes updates: {advice}, or the name is denied there, or the zone "
            f"was frozen just now ('rndc thaw {zone}')."
        )
    return (
        f"{who}: {advice}, or the zone is frozen ('rndc thaw {zone}'), or this is a secondary "
        "and not the primary of the zone."
    )


def _not_authoritative(server: Server, zone: str) -> ProviderRefusal:
    return ProviderRefusal(
        f"The server {server} is not authoritative for {zone} (NOTAUTH): set -bind-server to the "
        "primary of the zone, or look into which view the key leads."
    )


def _unexpected(server: Server, zone: str, rcode: dns.rcode.Rcode, what: str) -> ProviderRefusal:
    return ProviderRefusal(
        f"The server {server} answered {what} for {zone} with {dns.rcode.to_text(rcode)}, which "
        "was not expected: its log says more."
    )
