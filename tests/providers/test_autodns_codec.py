"""Zones and changes as AutoDNS writes them, held against a simple model of what they mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from dnslb.model.plan import Change
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.autodns_answer import Answer
from dnslb.providers.autodns_codec import ZoneContent, marker_body, patch_body, to_content
from tests.doubles.autodns.zones import Zones, record

ZONE, SERVER = "example.org", "a.ns14.net"
NAMES = ("example.org", "www.example.org", "*.example.org", "new.example.org")
ADDRESSES = [f"192.0.2.{n}" for n in range(6)]


def content_of(zones: Zones, names: tuple[str, ...] = NAMES) -> ZoneContent:
    return to_content(
        Answer(200, "SUCCESS", data=(zones.by_key[ZONE, SERVER],)), ZONE, SERVER, names
    )


def spelt(name: str) -> st.SearchStrategy[str | None]:
    """All the ways in which a name may come."""
    relative = "" if name == ZONE else name.removesuffix(f".{ZONE}")
    ways: list[str | None] = [relative, relative.upper(), f"{name}.", f"{name.upper()}."]
    return st.sampled_from([*ways, "@", None] if name == ZONE else ways)


@st.composite
def zone_records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records at our names, no value twice, and others' between them."""
    found: list[dict[str, Any]] = []
    for name in NAMES[:3]:
        for value in draw(st.lists(st.sampled_from(ADDRESSES), unique=True, max_size=4)):
            one: dict[str, Any] = {"type": "A", "value": value}
            if (way := draw(spelt(name))) is not None:
                one["name"] = way
            if (ttl := draw(st.sampled_from([None, 0, 60, 300]))) is not None:
                one["ttl"] = ttl
            found.append(one)
    others = [
        record("", "MX", "mail", pref=10),
        record("www", "TXT", "192.0.2.1"),
        record("wwww", "A", "192.0.2.1"),
        record("www.example.org", "A", "192.0.2.2"),
        {"type": "CAA", "value": '0 issue "x"'},
    ]
    return list(draw(st.permutations([*found, *others])))


WANTED = st.dictionaries(
    st.sampled_from(NAMES),
    st.none()
    | st.builds(
        lambda values, ttl: (tuple(sorted(values)), ttl),
        st.sets(st.sampled_from(ADDRESSES), min_size=1, max_size=4),
        st.sampled_from([60, 300, 86400]),
    ),
    min_size=1,
)


@given(zone_records(), WANTED)
def test_a_patch_makes_what_is_wanted_and_touches_nothing_else(
    records: list[dict[str, Any]], wanted: dict[str, tuple[tuple[str, ...], int] | None]
) -> None:
    zones = Zones()
    zones.add(ZONE, records)
    before = content_of(zones)
    changes = []
    for name, what in wanted.items():
        key = RRsetKey(name, "A")
        after = None if what is None else RRset(key, what[1], what[0])
        changes.append(Change(key, before.rrsets.get(key), after, "a test", "health", "a test"))
    body = patch_body(before, changes)
    untouched = [r for r in records if r not in body["resourceRecordsRem"]]
    zones.answer("PATCH", f"/zone/{ZONE}/{SERVER}", body)
    after_all = content_of(zones)
    for change in changes:
        assert after_all.rrsets.get(change.key) == change.after
    for key, rrset in before.rrsets.items():
        if key.name not in wanted:
            assert after_all.rrsets[key] == rrset
    assert zones.records(ZONE)[: len(untouched)] == untouched


@given(zone_records())
def test_what_is_right_already_is_left_alone(records: list[dict[str, Any]]) -> None:
    zones = Zones()
    zones.add(ZONE, [{**r, "ttl": 60} for r in records])
    content = content_of(zones)
    changes = [Change(k, r, r, "a test", "health") for k, r in content.rrsets.items()]
    assert patch_body(content, changes) == {"resourceRecordsAdd": [], "resourceRecordsRem": []}


def test_names_are_written_relative_and_the_apex_empty() -> None:
    zones = Zones()
    zones.add(ZONE)
    changes = []
    for name in NAMES:
        rrset = RRset(RRsetKey(name, "A"), 60, ("192.0.2.1",))
        changes.append(Change(rrset.key, None, rrset, "a test", "health"))
    body = patch_body(content_of(zones), changes)
    assert [new["name"] for new in body["resourceRecordsAdd"]] == ["", "www", "*", "new"]


def test_a_cname_is_shown_as_the_absolute_name_that_it_means() -> None:
    zones = Zones()
    zones.add(ZONE, [record("www", "CNAME", "host"), record("new", "CNAME", "x.example.net.")])
    assert content_of(zones).cnames == {
        "www.example.org": "host.example.org",
        "new.example.org": "x.example.net",
    }


def test_addresses_are_shown_in_canonical_form() -> None:
    zones = Zones()
    zones.add(
        ZONE, [record("www", "AAAA", "2001:DB8:0:0::1"), record("www", "AAAA", "2001:db8::2")]
    )
    (rrset,) = content_of(zones).rrsets.values()
    assert rrset.values == ("2001:db8::1", "2001:db8::2")


@pytest.mark.parametrize("value", ["192.0.2.1", "2001:db8::1%eth0", "x", ""])
def test_what_is_no_address_of_its_type_is_refused(value: str) -> None:
    zones = Zones()
    zones.add(ZONE, [record("www", "AAAA", value)])
    assert set(content_of(zones).refused) == {"www.example.org"}


def test_a_marker_takes_the_place_of_all_that_stand_there() -> None:
    zones = Zones()
    old = [record("_dnslb", "TXT", "one"), record("_DNSLB.example.org.", "TXT", "two", ttl=5)]
    zones.add(ZONE, [*old, record("_dnslb", "A", "192.0.2.1"), record("www", "TXT", "x")])
    content = content_of(zones)
    body = marker_body(content, "three", 300)
    assert body["resourceRecordsRem"] == old
    assert body["resourceRecordsAdd"] == [record("_dnslb", "TXT", "three", ttl=300)]
    assert marker_body(content, None, 300)["resourceRecordsAdd"] == []
