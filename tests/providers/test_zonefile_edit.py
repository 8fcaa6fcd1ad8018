"""The cases of text surgery that a person would look up: what goes where, and what is refused."""

from __future__ import annotations

from textwrap import dedent

import pytest

from dnslb.errors import ProviderConflict, ProviderRefusal
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.zonefile_edit import locate, raised_serial, revise, rrsets_of
from dnslb.providers.zonefile_text import ZoneText, parse

ZONE = "example.org"
HEAD = "$TTL 300\n@ SOA ns1 hostmaster 7 3600 900 1w 300\n@ NS ns1\n"
RAISED = HEAD.replace(" 7 ", " 8 ")


def zone_of(body: str, head: str = HEAD) -> ZoneText:
    return parse(head + dedent(body), ZONE, "the zone")


def change(zone: ZoneText, name: str, *values: str, rtype: str = "A", ttl: int = 60) -> Change:
    key = RRsetKey(f"{name}.{ZONE}", rtype)
    before = rrsets_of(zone, locate(zone, [key.name])).get(key)
    after = RRset(key, ttl, tuple(sorted(values))) if values else None
    return Change(key, before, after, "a test", "health", "a test empties it")


def revised(zone: ZoneText, *changes: Change) -> str:
    text = revise(zone, Plan(ZONE, changes, 0), "the zone").text
    assert parse(text, ZONE, "the zone").text == text
    return text.removeprefix(RAISED)


@pytest.mark.parametrize(
    ("serial", "raised"),
    [
        (1, 2),
        (2025010199, 2025010200),  # a date goes on counting: always forward, never past a hand's
        (2025123199, 2025123200),
        (1767225600, 1767225601),
        (2**31 - 1, 2**31),
        (2**32 - 2, 2**32 - 1),
        (2**32 - 1, 1),  # as named counts, 0 is left out
        (0, 1),
    ],
)
def test_serial_goes_up_by_one(serial: int, raised: int) -> None:
    assert raised_serial(serial) == raised
    assert 0 < (raised - serial) % 2**32 < 2**31  # RFC 1982: newer


def test_only_the_digits_of_the_serial_change() -> None:
    head = "$TTL 300\n@ 1d IN SOA soa. 9.9. (\n\t9\t; serial 9\n 9 9 9 9 ) ; 9\n@ NS ns1\n"
    zone = zone_of("www 60 A 192.0.2.1\n", head)
    text = revise(zone, Plan(ZONE, (change(zone, "www", "192.0.2.2"),), 0), "the zone").text
    assert text.startswith(head.replace("\t9\t;", "\t10\t;"))


def test_kept_addresses_keep_their_lines() -> None:
    zone = zone_of("www   60 IN A 192.0.2.1 ; fra\nwww   60 IN A 192.0.2.2 ; ams\n")
    assert revised(zone, change(zone, "www", "192.0.2.2")) == "www   60 IN A 192.0.2.2 ; ams\n"


def test_new_address_takes_the_line_that_goes_in_its_form() -> None:
    zone = zone_of("www   60 IN A 192.0.2.1 ; fra\nmail A 192.0.2.9\n")
    expected = "www   60 IN A 192.0.2.7\nmail A 192.0.2.9\n"
    assert revised(zone, change(zone, "www", "192.0.2.7")) == expected


def test_added_address_stands_beside_the_others() -> None:
    zone = zone_of("www   60 IN A 192.0.2.1\nmail A 192.0.2.9\n")
    expected = "www   60 IN A 192.0.2.1\nwww   60 IN A 192.0.2.2\nmail A 192.0.2.9\n"
    assert revised(zone, change(zone, "www", "192.0.2.1", "192.0.2.2")) == expected


def test_new_name_stands_at_the_end_even_without_a_last_line_end() -> None:
    zone = zone_of("mail A 192.0.2.9 ; the last")
    expected = "mail A 192.0.2.9 ; the last\nnew\t60\tIN\tA\t192.0.2.1\n"
    assert revised(zone, change(zone, "new", "192.0.2.1")) == expected


def test_name_is_written_for_the_origin_in_force() -> None:
    zone = zone_of("$ORIGIN sub\nftp A 192.0.2.9\n")
    expected = "$ORIGIN sub\nftp A 192.0.2.9\nnew.example.org.\t60\tIN\tA\t192.0.2.1\n"
    assert revised(zone, change(zone, "new", "192.0.2.1")) == expected
    expected = "$ORIGIN sub\nftp A 192.0.2.9\nnew\t60\tIN\tA\t192.0.2.1\n"
    assert revised(zone, change(zone, "new.sub", "192.0.2.1")) == expected


def test_address_line_gets_the_name_that_it_inherited() -> None:
    zone = zone_of("www 60 A 192.0.2.1\n 60 A 192.0.2.2 ; ams\n AAAA 2001:db8::1\n TXT x\n")
    expected = "www\t60\tIN\tA\t192.0.2.2 ; ams\n AAAA 2001:db8::1\n TXT x\n"
    assert revised(zone, change(zone, "www", "192.0.2.2")) == expected
    expected = "www\t300\tIN\tAAAA\t2001:db8::1\n TXT x\n"
    assert revised(zone, change(zone, "www")) == expected


def test_our_line_moves_to_where_others_inherit_from() -> None:
    zone = zone_of("www 60 A 192.0.2.1\n TXT x\nmail A 192.0.2.9\nwww 60 A 192.0.2.2\n")
    expected = "www\t60\tIN\tA\t192.0.2.2\n TXT x\nmail A 192.0.2.9\n"
    assert revised(zone, change(zone, "www", "192.0.2.2")) == expected


def test_change_that_would_rename_others_records_is_refused() -> None:
    zone = zone_of("www 60 A 192.0.2.1\n TXT x\n")
    with pytest.raises(ProviderRefusal, match=r"line 5: .* write www\.example\.org\. at its"):
        revised(zone, change(zone, "www"))


def test_change_that_would_alter_others_ttl_is_refused() -> None:
    head = "@ 60 SOA ns1 hostmaster 7 3600 900 1w 300\n@ NS ns1\n"
    zone = zone_of("www 5 A 192.0.2.1\nmail A 192.0.2.9\n", head)
    with pytest.raises(ProviderRefusal, match=r"line 4: .* put a \$TTL line at the top"):
        revised(zone, change(zone, "www"))


def test_without_a_default_ttl_lines_are_added_where_nobody_inherits() -> None:
    head = "@ 60 SOA ns1 hostmaster 7 3600 900 1w 300\n@ NS ns1\n"
    zone = zone_of("www 60 A 192.0.2.1\nmail A 192.0.2.9\n", head)
    add = change(zone, "www", "2001:db8::1", rtype="AAAA", ttl=5)
    expected = "www 60 A 192.0.2.1\nmail A 192.0.2.9\nwww\t5\tIN\tAAAA\t2001:db8::1\n"
    assert revised(zone, add).endswith(expected)


def test_two_changes_at_one_name_do_not_hide_each_other() -> None:
    zone = zone_of("www 60 A 192.0.2.1\n")
    both = (change(zone, "www", "2001:db8::1", rtype="AAAA"), change(zone, "www"))
    assert revised(zone, *both) == "www\t60\tIN\tAAAA\t2001:db8::1\n"


def test_duplicate_lines_are_one_address() -> None:
    zone = zone_of("www 60 A 192.0.2.1\nwww 60 A 192.0.2.1\n")
    assert revised(zone, change(zone, "www", "192.0.2.1", "192.0.2.2")).count("192.0.2.1") == 1


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        ("sub NS ns.example.net.\n", "www.sub", "below the NS record of sub.example.org"),
        ("sub NS ns.example.net.\n", "sub", "below the NS record of sub.example.org"),
        ("sub DNAME example.net.\n", "www.sub", "below the DNAME record of sub.example.org"),
        ("@ ZONEMD 7 1 1 " + "00" * 48 + "\n", "www", "holds ZONEMD records: it was signed"),
        ("$GENERATE 1-2 w$ 60 A 192.0.2.$\n", "w1", r"made by \$GENERATE"),
    ],
)
def test_what_would_be_wrong_to_write_is_refused(body: str, name: str, expected: str) -> None:
    zone = zone_of(body)
    with pytest.raises(ProviderRefusal, match=expected):
        revised(zone, change(zone, name, "192.0.2.55"))


def test_apex_of_a_dname_may_be_written() -> None:
    zone = zone_of("sub DNAME example.net.\n")
    assert "sub\t60\tIN\tA\t192.0.2.1" in revised(zone, change(zone, "sub", "192.0.2.1"))


def test_file_that_is_not_as_believed_is_a_conflict() -> None:
    zone = zone_of("www 60 A 192.0.2.1\n")
    before = zone_of("www 60 A 192.0.2.2\n")
    with pytest.raises(ProviderConflict, match="not as it was read"):
        revised(zone, change(before, "www", "192.0.2.3"))
