"""What a pass makes of a zone and of a plan, with a provider class that can do everything wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dnslb.errors import (
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderRefusal,
)
from dnslb.model.lease import FencingToken
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.octodns_foreign import Foreign
from dnslb.providers.octodns_wire import (
    ListZones,
    Marker,
    ProviderClass,
    ReadMarker,
    ReadZone,
    Stands,
    TakeMarker,
    Zones,
)
from dnslb.providers.octodns_worker import Pass
from dnslb.providers.octodns_zone import compare, look
from tests.doubles.octodns_shelf import NAME
from tests.providers.octodns_stage import (
    AFTER,
    API,
    BEFORE,
    MARKER,
    NEW,
    TOKEN,
    WWW,
    ZONE,
    Script,
    Stage,
    content,
    rrset,
    write_task,
)

NAMES = frozenset({WWW.name, API.name, NEW.name})


def read(stage: Stage, *names: str) -> Stands:
    answer = stage.run(ReadZone(ZONE, frozenset(names) or NAMES))
    assert isinstance(answer, Stands)
    return answer


# ------------------------------------------------------------------------------------- reading


def test_a_reading_holds_our_names_and_counts_all(tmp_path: Path) -> None:
    stands = read(Stage(tmp_path))
    assert set(stands.rrsets) == {BEFORE, rrset(API, "192.0.2.9", ttl=300)}
    assert (stands.cnames, stands.total) == ({}, 6)
    assert read(Stage(tmp_path), "alias.example.org").cnames == {
        "alias.example.org": "elsewhere.example.net"
    }


def test_a_reading_of_our_names_leaves_the_marker_out(tmp_path: Path) -> None:
    assert read(Stage(tmp_path), "_dnslb.example.org").rrsets == (
        RRset(RRsetKey("_dnslb.example.org", "TXT"), 300, (MARKER,)),
    )
    assert read(Stage(tmp_path), NEW.name).rrsets == ()


@pytest.mark.parametrize("fault", ["has no zone", "raises at populate", "exits at populate"])
def test_a_zone_that_is_not_positively_there_is_an_error(tmp_path: Path, fault: str) -> None:
    with pytest.raises((ProviderRefusal, Foreign), match=r"example\.org"):
        read(Stage(tmp_path, fault=fault))


def test_a_class_that_says_nothing_must_show_name_servers_or_list_the_zone(tmp_path: Path) -> None:
    stage = Stage(tmp_path, fault="says nothing")
    assert read(stage).total == 6
    assert stage.calls == ["populate"]
    stage = Stage(tmp_path, {"www": {"A": [60, ["192.0.2.1"]]}}, fault="says nothing")
    assert read(stage).total == 1
    assert stage.calls[-1] == "list_zones"
    with pytest.raises(ProviderRefusal, match=r"does not show a zone example\.com"):
        stage.run(ReadZone("example.com", NAMES))


def test_zones_are_listed_by_their_usual_names(tmp_path: Path) -> None:
    answer = Stage(tmp_path).run(ListZones())
    assert answer == Zones(frozenset({"example.org", "example.net"}))


# ------------------------------------------------------------------------------------- writing


def test_only_our_rrsets_change(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    new = rrset(NEW, "192.0.2.30")
    answer = stage.run(write_task((BEFORE, AFTER), (None, new)))
    assert answer == Stands((AFTER, new), total=7)
    expected = content()
    expected["www"]["A"] = [60, ["192.0.2.1"]]
    expected["new"] = {"A": [60, ["192.0.2.30"]]}
    assert stage.zone == expected


def test_nothing_is_written_before_the_last_word(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    calls: list[list[str]] = []
    stage.run(write_task((BEFORE, AFTER)), before_write=lambda: calls.append(stage.calls))
    assert calls == [["populate"] * 3]


def test_each_reading_is_by_an_instance_of_its_own(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.run(write_task((BEFORE, AFTER)))
    # Prepared, looked at, planned (octoDNS reads by itself), written, read back.
    assert stage.calls == [*["populate"] * 3, "apply www.example.org.", "populate"]


@pytest.mark.parametrize("fault", ["injects", "injects+writes the whole zone"])
def test_a_foreign_record_that_appears_while_it_is_planned_stays(
    tmp_path: Path, fault: str
) -> None:
    stage = Stage(tmp_path, fault=fault)
    stage.run(write_task((BEFORE, AFTER)))
    assert stage.zone["foreign"] == {"A": [60, ["198.51.100.77"]]}
    assert stage.zone["www"]["A"] == [60, ["192.0.2.1"]]
    assert "apply www.example.org." in stage.calls


def test_our_own_record_that_changes_while_it_is_planned_is_a_conflict(tmp_path: Path) -> None:
    stage = Stage(tmp_path, fault="injects ours")
    with pytest.raises(ProviderConflict, match="changed while"):
        stage.run(write_task((BEFORE, AFTER)))
    assert stage.zone["www"]["A"] == [60, ["198.51.100.77"]]


def test_a_class_that_keeps_what_it_read_is_read_afresh(tmp_path: Path) -> None:
    stage = Stage(tmp_path, fault="keeps records")
    assert stage.run(write_task((BEFORE, AFTER))) == Stands((AFTER,), total=6)
    assert stage.zone["www"]["A"] == [60, ["192.0.2.1"]]


@pytest.mark.parametrize("fault", ["", "keeps records"])
def test_what_changes_before_the_first_word_is_a_conflict(tmp_path: Path, fault: str) -> None:
    stage = Stage(tmp_path, fault=fault)
    with pytest.raises(ProviderConflict, match="not as it was read"):
        stage.run(
            write_task((BEFORE, AFTER)),
            before_look=lambda: stage.change("www", "A", [60, ["192.0.2.2"]]),
        )
    assert stage.zone["www"]["A"] == [60, ["192.0.2.2"]]


def test_another_ttl_is_a_conflict_as_well(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with pytest.raises(ProviderConflict):
        stage.run(write_task((rrset(WWW, *BEFORE.values, ttl=61), AFTER)))


def test_the_marker_is_compared_before_and_after(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    newer = "dnslb owner=tests epoch=1 term=2 nonce=other"
    with pytest.raises(FenceLost, match="term 2"):
        stage.run(
            write_task((BEFORE, AFTER)),
            before_look=lambda: stage.change("_dnslb", "TXT", [300, [newer]]),
        )
    assert not [call for call in stage.calls if call.startswith("apply")]
    stage = Stage(tmp_path, fault="takes the marker")
    with pytest.raises(FenceLost, match="epoch 9"):
        stage.run(write_task((BEFORE, AFTER)))


def test_without_ownership_no_marker_is_asked_for(tmp_path: Path) -> None:
    zone = content()
    del zone["_dnslb"]
    stage = Stage(tmp_path, zone)
    with pytest.raises(FenceLost, match="is gone"):
        stage.run(write_task((BEFORE, AFTER)))
    assert stage.run(write_task((BEFORE, AFTER), token=False)) == Stands((AFTER,), total=5)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("leaves out", ProviderRefusal, "leaves www.example.org A out"),
        ("writes others", ProviderRefusal, "would write 192.0.2.1 for www.example.org A"),
        ("forgets", OutcomeUnknown, "does not show yet"),
        ("interferes", ProviderConflict, "not as it was just written"),
    ],
)
def test_what_a_class_does_otherwise_is_noticed(
    tmp_path: Path, fault: str, error: type[Exception], words: str
) -> None:
    stage = Stage(tmp_path, fault=fault)
    wanted = rrset(WWW, "192.0.2.1", "192.0.2.3")
    with pytest.raises(error, match=words):
        stage.run(write_task((BEFORE, wanted)))
    if error is ProviderRefusal:
        assert stage.zone == content()


def test_a_ttl_that_the_class_holds_for_better_is_taken_and_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, fault="keeps ttl")
    answer = stage.run(write_task((BEFORE, AFTER)))
    assert isinstance(answer, Stands)
    assert answer.rrsets == (rrset(WWW, "192.0.2.1", ttl=300),)
    (notice,) = answer.notices
    assert notice == (
        "www.example.org A has the TTL 300 at the provider, and not 60: set ttl = 300 for this "
        "name."
    )
    again = stage.run(write_task((answer.rrsets[0], AFTER)))
    assert isinstance(again, Stands)
    assert again.rrsets == answer.rrsets
    assert len([call for call in stage.calls if call.startswith("apply")]) == 1


@pytest.mark.parametrize(
    ("name", "record", "words"),
    [
        ("www", {"ALIAS": [60, ["cdn.example.net."]]}, "own record ALIAS"),
        ("a.b", {}, r"below the NS records of b\.example\.org"),
    ],
)
def test_names_that_are_more_than_addresses_are_refused(
    tmp_path: Path, name: str, record: dict[str, Any], words: str
) -> None:
    zone = {**content(), "b": {"NS": [60, ["ns.example.net."]]}, name: record}
    stage = Stage(tmp_path, zone)
    key = RRsetKey(f"{name}.example.org", "A")
    before = next((r for r in read(stage, key.name).rrsets if r.key == key), None)
    with pytest.raises(ProviderRefusal, match=words):
        stage.run(write_task((before, rrset(key, "192.0.2.30"))))
    assert stage.zone == zone


def test_what_is_no_address_is_shown_and_not_written_over() -> None:
    # octoDNS refuses such records in its own types, and a class may have types of its own.
    odd = SimpleNamespace(name="WWW", _type="A", ttl=60, values=["192.0.2.1", "fe80::1%eth0"])
    found = look(SimpleNamespace(records=[odd]), ZONE, {WWW.name})
    assert found.rrsets[WWW].values == ("192.0.2.1", "fe80::1%eth0")
    with pytest.raises(ProviderRefusal, match="no address; put it right by hand"):
        compare(found, write_task((found.rrsets[WWW], AFTER)).swaps)


def test_a_dynamic_record_is_not_replaced(tmp_path: Path) -> None:
    pools = {"one": {"values": [{"value": "192.0.2.1"}]}}
    dynamic = {"values": ["192.0.2.1"], "dynamic": {"pools": pools, "rules": [{"pool": "one"}]}}
    stage = Stage(tmp_path, {**content(), "www": {"A": [60, dynamic]}})
    with pytest.raises(ProviderRefusal, match="is a dynamic record"):
        stage.run(write_task((AFTER, rrset(WWW, "192.0.2.2"))))


def test_settings_that_a_class_keeps_with_a_record_stay(tmp_path: Path) -> None:
    kept = {"values": ["192.0.2.1", "192.0.2.2"], "octodns": {"shelf": {"proxied": True}}}
    stage = Stage(tmp_path, {**content(), "www": {"A": [60, kept]}})
    passed = Pass(ProviderClass(NAME, stage.settings, "zone"), Script())
    instance = passed._instance()
    have, found = passed._look(instance, ZONE, {WWW.name})
    (swap,) = write_task((BEFORE, AFTER)).swaps
    plan = passed._plan(instance, have, found, [swap])
    assert plan is not None
    assert plan.changes[0].new.octodns == {"shelf": {"proxied": True}}


def many(count: int) -> dict[str, dict[str, list[Any]]]:
    hosts: dict[str, dict[str, list[Any]]] = {
        f"h{n}": {"A": [60, [f"192.0.2.{n}"]]} for n in range(count)
    }
    return {**hosts, "_dnslb": {"TXT": [300, [MARKER]]}}


def test_a_failover_of_all_names_is_no_reason_to_stop(tmp_path: Path) -> None:
    stage = Stage(tmp_path, many(20))
    keys = [RRsetKey(f"h{n}.example.org", "A") for n in range(20)]
    swaps = [
        (rrset(key, f"192.0.2.{n}"), rrset(key, f"203.0.113.{n}")) for n, key in enumerate(keys)
    ]
    stage.run(write_task(*swaps))
    assert stage.zone["h19"]["A"] == [60, ["203.0.113.19"]]


def test_what_octodns_holds_for_unsafe_is_refused(tmp_path: Path) -> None:
    keys = [RRsetKey(f"h{n}.example.org", "A") for n in range(10)]
    gone = [(rrset(key, f"192.0.2.{n}"), None) for n, key in enumerate(keys)]
    with pytest.raises(ProviderRefusal, match=r"unsafe .*Too many deletes.*delete_pcent_threshold"):
        Stage(tmp_path, many(20)).run(write_task(*gone))
    allowing = Stage(tmp_path, many(20), delete_pcent_threshold=0.6)
    allowing.run(write_task(*gone))
    assert len(allowing.zone) == 21
    assert allowing.zone["h0"] == {}
    strict = Stage(tmp_path, many(20), update_pcent_threshold=0.3)
    moved = [(rrset(key, f"192.0.2.{n}"), rrset(key, "203.0.113.1")) for n, key in enumerate(keys)]
    with pytest.raises(ProviderRefusal, match="Too many updates"):
        strict.run(write_task(*moved))


def test_a_class_that_may_not_apply_is_not_believed_to_have_written(tmp_path: Path) -> None:
    with pytest.raises(ProviderRefusal, match="apply_disabled"):
        Stage(tmp_path, apply_disabled=True).run(write_task((BEFORE, AFTER)))


@pytest.mark.parametrize("fault", ["raises at apply", "exits at apply"])
def test_what_fails_while_it_writes_is_left_open(tmp_path: Path, fault: str) -> None:
    with pytest.raises(Foreign, match=r"failed while it changed example\.org") as raised:
        Stage(tmp_path, fault=fault).run(write_task((BEFORE, AFTER)))
    assert raised.value.failed.kind == "unknown"


# -------------------------------------------------------------------------------------- marker


def test_the_marker_is_read_taken_and_removed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.run(ReadMarker(ZONE)) == Marker(TOKEN)
    next_one = TOKEN._replace(term=2, nonce="two")
    assert stage.run(TakeMarker(ZONE, next_one)) == Marker(next_one)
    assert stage.zone["_dnslb"]["TXT"] == [
        300,
        ["dnslb owner=tests epoch=1 term=2 nonce=two"],
    ]
    with pytest.raises(FenceLost):
        stage.run(TakeMarker(ZONE, TOKEN))
    assert stage.run(TakeMarker(ZONE, None)) == Marker(None)
    assert stage.run(ReadMarker(ZONE)) == Marker(None)
    assert stage.run(TakeMarker(ZONE, TOKEN)) == Marker(TOKEN)
    expected = content()
    assert stage.zone == expected


def test_a_foreign_marker_is_taken_over_only_from_whom_a_person_named(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    ours = FencingToken("ours", 5, 1, "n")
    with pytest.raises(ProviderRefusal, match="belongs to the owner id 'tests'"):
        stage.run(TakeMarker(ZONE, ours))
    with pytest.raises(ProviderRefusal):
        stage.run(TakeMarker(ZONE, ours, "somebody"))
    assert stage.run(TakeMarker(ZONE, ours, "tests")) == Marker(ours)


def test_a_marker_that_cannot_be_read_is_not_none(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {**content(), "_dnslb": {"TXT": [300, ["something else"]]}})
    for task in (ReadMarker(ZONE), TakeMarker(ZONE, TOKEN)):
        with pytest.raises(ProviderRefusal, match=r"dnslb fence reset example\.org"):
            stage.run(task)
    assert stage.run(TakeMarker(ZONE, None)) == Marker(None)
