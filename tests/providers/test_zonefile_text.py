"""What a zone file may hold, and the sentence for each thing that it may not."""

from __future__ import annotations

import pytest

from dnslb.errors import ProviderRefusal
from dnslb.providers.zonefile_text import parse

SOA = "@ 60 SOA ns1 hostmaster 7 3600 900 1w 300\n@ 60 NS ns1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the zone has no SOA record; one at example.org was expected"),
        ("; nothing\n", "no SOA record"),
        ("www 60 A 192.0.2.1\n", "no SOA record"),
        (SOA.replace("@ 60 SOA", "sub 60 SOA"), "SOA record at another name"),
        (SOA + "$INCLUDE other.zone\n", r"line 3: \$INCLUDE is not followed"),
        (SOA + "$include other.zone\n", r"line 3: \$INCLUDE is not followed"),
        (SOA + "$UNICODE 2008\n", r"line 3: \$UNICODE is none of \$ORIGIN"),
        (SOA + "$GENERATE 1-999999999 a$ A 192.0.2.1\n", "line 3: .* at most 65536"),
        (SOA + "$GENERATE 1-9/0 a$ A 192.0.2.1\n", "line 3: .* at most 65536"),
        (SOA + "$GENERATE ( 1-9 ) a$ A 192.0.2.1\n", "line 3: .* on one line was expected"),
        (SOA + "www 60 A 192.0.2.256\n", "line [34]: no valid record"),
        (SOA + "www 60 A\n", "line [34]: no valid record"),
        (SOA + "www 60 NONSENSE x\n", "line [34]: no valid record .*NONSENSE"),
        (SOA + "www 60 CH A 192.0.2.1\n", "line [34]: no valid record"),
        (SOA + 'www 60 TXT "open\n', "line [34]: no valid record"),
        (SOA + "www 60 TXT ( open\n", "line [34]: no valid record"),
        (SOA + "www 60 TXT a )\n", "line [34]: no valid record"),
        (SOA + "www 60 A 192.0.2.1\rmail 60 A 192.0.2.2\n", "line 3: a carriage return"),
        (SOA + "www 60 TXT a\0b\n", "line 3: a NUL byte"),
        (SOA + "$GENERATE 1-2 a$ 60 A 192.0.2.$\n 60 TXT x\n", "line 4: .* in two ways"),
        ("\ufeff" + SOA, "the zone"),
    ],
)
def test_refused_with_place_and_reason(text: str, expected: str) -> None:
    with pytest.raises(ProviderRefusal, match=expected) as caught:
        parse(text.encode().decode("latin-1"), "example.org", "the zone")
    assert "\n" not in str(caught.value)


def test_class_ttl_and_comments_may_stand_in_any_order() -> None:
    text = SOA + "a IN 60 A 192.0.2.1;x\nb 1h A 192.0.2.2\nc in 1w2d TYPE1 \\# 4 C0000203\n"
    found = [(e.owner, e.ttl, e.value) for e in parse(text, "example.org", "z").entries[2:]]
    assert found == [
        ("a.example.org", 60, "192.0.2.1"),
        ("b.example.org", 3600, "192.0.2.2"),
        ("c.example.org", 777600, "192.0.2.3"),
    ]


def test_bytes_that_are_no_text_stay_what_they_are() -> None:
    data = SOA.encode() + b'www 60 TXT "\xff\xfe\x80"\n; \xe9\n'
    assert parse(data.decode("latin-1"), "example.org", "z").text.encode("latin-1") == data


def test_records_outside_the_zone_are_passed_over() -> None:
    text = SOA + "other.example.net. 60 A 192.0.2.1\n 60 A 192.0.2.2\nwww 60 A 192.0.2.3\n"
    owners = [e.owner for e in parse(text, "example.org", "z").entries[2:]]
    assert owners == ["", "", "www.example.org"]
