"""Whose connections are counted together."""

from __future__ import annotations

import pytest

from dnslb.net.peer import Peer, UnixCredentials
from dnslb.net.tls import CertificateNames


@pytest.mark.parametrize(
    ("host", "account"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_one_host_has_one_account_whatever_addresses_it_takes(host: str, account: str) -> None:
    assert Peer(address=(host, 5)).account == account


def test_users_of_this_machine_are_told_apart() -> None:
    assert Peer(credentials=UnixCredentials(7, 1000, 100)).account == 1000
    assert Peer().account == ""


def test_a_certificate_names_the_owner_wherever_they_come_from() -> None:
    alice = CertificateNames("alice")
    one, two = (Peer((host, 1), certificate=alice) for host in ("192.0.2.1", "192.0.2.2"))
    assert one.owner == two.owner != one.account
    assert Peer(("192.0.2.1", 9)).owner == "192.0.2.1"
