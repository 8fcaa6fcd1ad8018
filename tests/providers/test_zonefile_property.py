"""Whatever a zone file looks like: our RRsets change, and no byte and no meaning of others'."""

from __future__ import annotations

import re
from collections.abc import Iterable

import dns.name
import dns.rdatatype
import dns.zone
from hypothesis import event, given, strategies as st

from dnslb.errors import ProviderRefusal
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.zonefile_edit import locate, revise, rrsets_of
from dnslb.providers.zonefile_text import Entry, ZoneText, parse
from tests.providers.zones import ADDRESSES, ZONE, zone_texts

NAMES = tuple(f"{label}{ZONE}" for label in ("www.", "api.", "new.", "deep.sub.", "www.sub.", ""))
KEYS = tuple(RRsetKey(name, rtype) for name in NAMES for rtype in ADDRESSES)


@st.composite
def wishes(draw: st.DrawFn) -> dict[RRsetKey, RRset | None]:
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
    wanted: dict[RRsetKey, RRset | None] = {}
    for key in keys:
        pool = ADDRESSES[key.rtype]
        values = draw(st.lists(st.sampled_from(pool), max_size=len(pool), unique=True))
        ttl = draw(st.sampled_from((60, 60, 61)))
        wanted[key] = RRset(key, ttl, tuple(sorted(values))) if values else None
    return wanted


def plan_for(zone: ZoneText, wanted: dict[RRsetKey, RRset | None]) -> Plan | None:
    existing = rrsets_of(zone, locate(zone, NAMES))
    changes = tuple(
        Change(key, existing.get(key), after, "a test", "health", "a test empties it")
        for key, after in wanted.items()
        if existing.get(key) != after
    )
    return Plan(ZONE, changes, 0) if changes else None


Meaning = dict[tuple[str, str], tuple[int, frozenset[str]]]


def meaning_of(text: str) -> Meaning:
    """What dnspython's own zone reader makes of it, but for the SOA serial."""
    zone = dns.zone.from_text(text.replace("\r\n", "\n"), ZONE, relativize=False)
    found: Meaning = {}
    for name, rdataset in zone.iterate_rdatasets():
        rtype = dns.rdatatype.to_text(rdataset.rdtype)
        texts = (rdata.to_text() for rdata in rdataset)
        if rtype == "SOA":
            texts = (re.sub(r"^(\S+ \S+) \d+", r"\1 serial", text) for text in texts)
        owner = name.to_text(omit_final_dot=True).lower()
        found[owner, rtype] = (rdataset.ttl, frozenset(texts))
    return found


def foreign_texts(entries: Iterable[Entry]) -> list[str]:
    """The texts of all that is not an address at one of NAMES; the last line end left out, and
    the SOA with its serial blanked."""
    texts = []
    for entry in entries:
        if entry.owner in NAMES and entry.rtype in ADDRESSES:
            continue
        text = entry.text
        if entry.rtype == "SOA":
            text = re.sub(r"\( \d+ ;", "( serial ;", text)
        texts.append(text)
    return texts


def revise_or_refusal(zone: ZoneText, plan: Plan) -> ZoneText | str:
    try:
        return revise(zone, plan, "the zone")
    except ProviderRefusal as refusal:
        return str(refusal)


def check_step(text: str, wanted: dict[RRsetKey, RRset | None]) -> str:
    """Carries ``wanted`` out on ``text`` and holds the result against the law."""
    zone = parse(text, ZONE, "the zone")
    plan = plan_for(zone, wanted)
    if plan is None:
        event("nothing to do")
        return text
    revised = revise_or_refusal(zone, plan)
    if isinstance(revised, str):
        # Only when a line of others would lose its name or TTL, and the sentence says which.
        assert re.search(r"line \d+: this (\w+ )?record takes its (name|TTL)", revised)
        event("refused")
        return text
    event("written")
    assert parse(revised.text, ZONE, "the zone") == revised
    before, after = foreign_texts(zone.entries), foreign_texts(revised.entries)
    if len(text) == len(text.rstrip("\r\n")):
        before = [t.rstrip("\r\n") for t in before]
        after = [t.rstrip("\r\n") for t in after]
    assert after == before
    expected = meaning_of(text)
    for change in plan.changes:
        expected.pop(change.key, None)
        if change.after is not None:
            expected[change.key] = (change.after.ttl, frozenset(change.after.values))
    assert meaning_of(revised.text) == expected
    return revised.text


@given(zone_texts(), st.lists(wishes(), min_size=1, max_size=4))
def test_only_what_the_plan_names_changes(
    text: str, steps: list[dict[RRsetKey, RRset | None]]
) -> None:
    for wanted in steps:
        text = check_step(text, wanted)


@given(zone_texts())
def test_the_entries_are_the_file(text: str) -> None:
    zone = parse(text, ZONE, "the zone")
    assert zone.text == text
    assert "".join(entry.text for entry in zone.entries) == text
