"""Our messages as another implementation, dnspython, reads them."""

from __future__ import annotations

import time
from functools import partial

import dns.message
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.update
import pytest
from hypothesis import given, strategies as st

from dnslb.providers.rfc2136_key import ALGORITHMS, TsigKey
from dnslb.providers.rfc2136_wire import (
    Claim,
    MessageTooLarge,
    Update,
    address_rdata,
    dns_key,
    query,
    signed,
    text_rdata,
)

ZONE = "example.org"
LABELS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, max_size=3).map(lambda labels: ".".join([*labels, ZONE]))
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)
SETS = st.lists(st.one_of(V4, V6), min_size=1, max_size=4, unique=True)


def rtype_of(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def read(wire: bytes) -> dns.update.UpdateMessage:
    message = dns.message.from_wire(wire)
    assert isinstance(message, dns.update.UpdateMessage)
    return message


def test_query_asks_for_no_recursion() -> None:
    message = dns.message.from_wire(query("www.example.org", "AAAA", 4711))
    assert (message.id, message.flags, message.opcode()) == (4711, 0, dns.opcode.QUERY)
    assert str(message.question[0]) == "www.example.org. IN AAAA"


@given(st.lists(st.tuples(NAMES, SETS, SETS), min_size=1, max_size=8))
def test_update_means_what_dnspython_would_have_written(
    changes: list[tuple[str, list[str], list[str]]],
) -> None:
    ours, theirs = Update(ZONE), dns.update.UpdateMessage(ZONE, id=1)
    for name, before, after in changes:
        old = [a for a in before if rtype_of(a) == rtype_of(before[0])]
        new = [a for a in after if rtype_of(a) == rtype_of(after[0])]
        ours.claim(Claim(name, rtype_of(old[0]), tuple(map(address_rdata, old))))
        ours.claim(Claim(name, "CNAME"))
        ours.replace(name, rtype_of(new[0]), 60, map(address_rdata, new))
        theirs.present(f"{name}.", rtype_of(old[0]), *old)
        theirs.absent(f"{name}.", "CNAME")
        theirs.replace(f"{name}.", 60, rtype_of(new[0]), *new)
    mine = read(ours.to_wire(1))
    other = read(theirs.to_wire(max_size=65_535))
    for section in range(3):
        assert flat(mine, section) == flat(other, section)
    rehearsal = read(ours.to_rehearsal(1))
    assert flat(rehearsal, 1) == flat(mine, 1)
    assert rehearsal.update == []


def flat(message: dns.update.UpdateMessage, section: int) -> list[str]:
    return [
        f"{rrset.name} {rrset.ttl} {rrset.rdclass} {rrset.deleting} {rrset.rdtype} {rdata}"
        for rrset in message.sections[section]
        for rdata in (list(rrset) or [None])
    ]


def test_deleting_and_text_are_written_as_such() -> None:
    update = Update(ZONE)
    update.delete("www.example.org", "A")
    update.replace("_dnslb.example.org", "TXT", 60, [text_rdata("a b;c")])
    message = read(update.to_wire(7))
    shown = [str(rrset) for rrset in message.update]
    assert shown[0].endswith("ANY A")
    assert shown[-1] == '_dnslb.example.org. 60 IN TXT "a b;c"'


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_holds_for_another_implementation(algorithm: str) -> None:
    key = TsigKey("dnslb-key", algorithm, b"a secret of thirty-two characters")
    request = signed(query("www.example.org", "A", 99), key, time.time())
    signer = dns_key(key)
    message = dns.message.from_wire(request.wire, keyring={signer.name: signer})
    assert message.had_tsig
    assert message.mac == request.mac
    assert request.id == message.id == 99


def test_without_a_key_nothing_is_signed() -> None:
    wire = query("www.example.org", "A", 99)
    assert signed(wire, None, 0.0).wire == wire


def test_names_beyond_the_reach_of_a_pointer_are_written_out() -> None:
    update = Update(ZONE)
    names = [f"{'n' * 50}{i}.{'m' * 60}.{ZONE}" for i in range(250)]
    for name in names:
        update.replace(name, "A", 60, [address_rdata("192.0.2.1")])
    message = read(update.to_wire(1))
    owners = {rrset.name.to_text(omit_final_dot=True) for rrset in message.update}
    assert owners == set(names)


def test_what_no_message_can_hold_says_so() -> None:
    update = Update(ZONE)
    fill = partial(update.replace, "www.example.org", "AAAA", 60)
    fill(address_rdata(f"2001:db8::{i:x}") for i in range(2500))
    with pytest.raises(MessageTooLarge):
        update.to_wire(1)
    assert update.to_rehearsal(1)
