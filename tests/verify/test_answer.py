"""Which messages count as an answer, and what they say."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnslb.verify.answer import Answer, Records, Silence, question, to_answer, to_targets

NAME = "www.example.org"


def answered(*records: str, rcode: str = "NOERROR", aa: bool = True, rtype: str = "A") -> Answer:
    query = question(NAME, rtype)
    return to_answer(query, response(query, *records, rcode=rcode, aa=aa))


def response(
    query: dns.message.Message, *records: str, rcode: str = "NOERROR", aa: bool = True
) -> dns.message.Message:
    text = f"id {query.id}\nopcode QUERY\nrcode {rcode}\nflags QR {'AA' if aa else ''}\n;QUESTION\n"
    text += f"{query.question[0].to_text()}\n;ANSWER\n" + "\n".join(records) + "\n"
    return dns.message.from_text(text)


def test_addresses_are_told_in_canonical_form_with_their_ttl() -> None:
    assert answered(f"{NAME}. 60 IN A 192.0.2.2", f"{NAME}. 60 IN A 192.0.2.1") == Records(
        ("192.0.2.2", "192.0.2.1"), 60
    )
    assert answered(f"{NAME}. 30 IN AAAA 2001:DB8:0::1", rtype="AAAA") == Records(
        ("2001:db8::1",), 30
    )


@pytest.mark.parametrize("rcode", ["NOERROR", "NXDOMAIN"])
def test_nothing_there_is_an_answer(rcode: str) -> None:
    assert answered(rcode=rcode) == Records()


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
def test_an_error_is_no_answer(rcode: str) -> None:
    assert answered(rcode=rcode) == Silence(f"answers {rcode}")


def test_without_authority_it_is_no_answer() -> None:
    found = answered(f"{NAME}. 60 IN A 192.0.2.1", aa=False)
    assert isinstance(found, Silence)
    assert "without authority" in found.sentence
    assert isinstance(answered(rcode="NXDOMAIN", aa=False), Silence)


def test_a_cname_is_told_as_such() -> None:
    found = answered(
        f"{NAME}. 60 IN CNAME other.example.net.", "other.example.net. 60 IN A 1.2.3.4"
    )
    assert found == Records((), 60, alias="other.example.net")
    assert str(found) == "answers a CNAME to other.example.net"


def test_records_of_other_names_and_types_are_not_ours() -> None:
    others = (f"{NAME}. 60 IN AAAA 2001:db8::1", "mail.example.org. 60 IN A 192.0.2.9")
    assert answered(*others) == Records()


def test_the_case_of_names_does_not_matter() -> None:
    assert answered("WWW.Example.ORG. 60 IN A 192.0.2.1") == Records(("192.0.2.1",), 60)


def test_what_is_asked_is_the_servers_own_word() -> None:
    query = question(NAME, "A")
    assert not query.flags & dns.flags.RD
    assert query.payload == 1232
    assert question(NAME, "A").id != question(NAME, "A").id or question(NAME, "A").id != query.id


def test_the_hosts_of_an_ns_rrset() -> None:
    query = question("example.org", "NS")
    message = response(
        query, "example.org. 60 IN NS ns2.example.net.", "example.org. 60 IN NS a.b."
    )
    assert sorted(to_targets(query, message)) == ["a.b", "ns2.example.net"]
    assert to_targets(query, response(query)) == ()


def test_answers_are_shown_in_few_words() -> None:
    assert str(Records(("192.0.2.2", "192.0.2.1"), 60)) == "answers 192.0.2.1, 192.0.2.2 (TTL 60)"
    many = tuple(f"192.0.2.{i}" for i in range(1, 9))
    assert str(Records(many, 60)).endswith("192.0.2.4 and 4 more (TTL 60)")
    assert str(Records()) == "answers that nothing is there"
