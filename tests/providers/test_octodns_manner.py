"""Which classes may write, by what is known of how they do it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnslb.errors import ProviderRefusal
from dnslb.providers.octodns_foreign import load_class, writer_of
from dnslb.providers.octodns_manner import KNOWN, MANNERS, Manner, check_manner

DOCUMENT = Path(__file__).parents[2] / "docs" / "octodns.md"
ORDER = {manner: MANNERS[i:] for i, manner in enumerate(MANNERS)}


@pytest.mark.parametrize("accepted", MANNERS)
def test_what_is_accepted_covers_what_is_less_dangerous(accepted: Manner) -> None:
    for writer, known in KNOWN.items():
        if known.manner is not None and accepted in ORDER[known.manner]:
            check_manner("a.B", writer, {}, accepted)
        else:
            with pytest.raises(ProviderRefusal, match=r"a\.B"):
                check_manner("a.B", writer, {}, accepted)


def test_a_class_that_nobody_has_read_counts_as_the_worst() -> None:
    for accepted in ("rrset", "gap"):
        with pytest.raises(ProviderRefusal, match=r"is not known here.*Read the _apply of x\.Y"):
            check_manner("x.Y", "x.Y", {}, accepted)
    check_manner("x.Y", "x.Y", {}, "zone")


def test_a_class_that_reads_nothing_is_never_used() -> None:
    for accepted in MANNERS:
        with pytest.raises(ProviderRefusal, match="would wipe it"):
            check_manner("a.B", "octodns_bind.ZoneFileProvider", {}, accepted)


def test_a_setting_can_make_a_class_harmless() -> None:
    hetzner = "octodns_hetzner.HetznerProvider"
    check_manner(hetzner, hetzner, {"backend": "hcloud"}, "rrset")
    with pytest.raises(ProviderRefusal, match=r'backend = "hcloud" in \[octodns\] avoids it'):
        check_manner(hetzner, hetzner, {}, "rrset")


def test_the_sentence_says_the_danger_and_the_way_to_accept_it() -> None:
    with pytest.raises(ProviderRefusal) as raised:
        check_manner("octodns_ovh.OvhProvider", "octodns_ovh.OvhProvider", {}, "rrset")
    assert str(raised.value) == (
        "octodns_ovh.OvhProvider removes the old records of a name before it writes the new ones, "
        "so at each change the name has no address for a moment, and resolvers may remember that "
        'for hours. If you accept that, set dnslb-accept-writes = "gap" in [octodns].'
    )


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("octodns.provider.yaml.YamlProvider", "octodns.YamlProvider"),
        ("octodns_bind.BindProvider", "octodns_bind.Rfc2136Provider"),
        ("octodns_bind.Rfc2136Provider", "octodns_bind.Rfc2136Provider"),
        ("octodns_bind.ZoneFileProvider", "octodns_bind.ZoneFileProvider"),
    ],
)
def test_a_class_is_known_by_who_wrote_its_apply(name: str, writer: str) -> None:
    assert writer_of(load_class(name)) == writer
    assert writer in KNOWN


def test_who_overrides_apply_is_no_longer_known() -> None:
    base = load_class("octodns_bind.Rfc2136Provider")
    quiet = type("Quiet", (base,), {})
    other = type("Other", (base,), {"_apply": lambda self, plan: None})
    assert writer_of(quiet) == "octodns_bind.Rfc2136Provider"
    assert writer_of(other) not in KNOWN


def test_the_document_names_the_versions_that_were_read() -> None:
    text = DOCUMENT.read_text()
    for writer, known in KNOWN.items():
        package = writer.partition(".")[0].replace("_", "-")
        short = re.escape(package.removeprefix("octodns"))
        version = re.escape(known.version)
        pattern = rf"octodns{short} \| {version} \||(octodns)?{short} {version}"
        assert re.search(pattern, text), f"{package} {known.version} is not in {DOCUMENT.name}"
