"""Our own certificate as our peers will see it."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.net.tls import TlsError
from dnslb.net.tls_own import read_own
from tests.net.certificates import Authority
from tests.net.handshake import HOST
from tests.net.test_tls import PAST


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ours")


def test_names_and_times(authority: Authority) -> None:
    ends = datetime.datetime(2100, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    own = read_own(authority.issue("fra-1", HOST, "192.0.2.1", not_after=ends), "192.0.2.1")
    assert own.ends_wall == ends.timestamp()
    assert own.begins_wall < own.ends_wall
    assert (own.names.common_name, own.names.dns_names) == ("fra-1", (HOST,))
    uri = "urn:dnslb:instance:fra-1"
    assert read_own(authority.issue_with_uris("b", HOST, uri), HOST).names.uris == (uri,)


def test_times_are_the_caller_s_to_judge(authority: Authority) -> None:
    assert read_own(authority.issue("old", HOST, not_after=PAST), HOST).ends_wall == (
        PAST.timestamp()
    )


def test_what_peers_would_refuse(authority: Authority, tmp_path: Path) -> None:
    good = authority.issue("fra-1", HOST)
    foreign = Authority.make(tmp_path / "foreign").issue("fra-1", HOST)
    for files, host, why in (
        (good, "fra-9.example.org", "it is for another host name"),
        (good, "192.0.2.1", "it is for another address"),
        (replace(foreign, ca=good.ca), HOST, "it comes from an unknown CA"),
        (replace(good, cert=tmp_path / "none"), HOST, "none cannot be read"),
    ):
        with pytest.raises(TlsError, match=why) as refused:
            read_own(files, host)
        assert str(files.cert) in str(refused.value)
