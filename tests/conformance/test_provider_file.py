"""Zone files keep what every provider keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnslb.model.rrset import RRset, RRsetKey
from dnslb.net.clock import FakeClock
from dnslb.providers.zonefile import ZoneFileProvider
from tests.conformance.provider import (
    ALIAS_TARGET,
    API,
    INNER_ZONE,
    NEW,
    WWW,
    ZONE,
    ProviderSuite,
)

TEXT = f"""\
; the zone of the examples
$TTL 1h
@\tIN SOA ns1 hostmaster ( 2025010101 ; serial
\t\t\t 3600 900 1w 300 )
\tIN NS ns1
ns1  A 198.51.100.1   ; not ours

www  60 IN A 192.0.2.1 ; first
     60 IN A 192.0.2.2
www  60 IN AAAA 2001:DB8:0:0::1
     IN TXT "one ; two" ; at our name, yet not ours
api  5m A 192.0.2.9
alias CNAME {ALIAS_TARGET}.
ns2 A 198.51.100.2
"""


class FileBench:
    def __init__(self, directory: Path, text: str = TEXT) -> None:
        self.file = directory / f"{ZONE}.zone"
        self.file.write_bytes(text.encode())
        inner = "@ 60 SOA ns1.example.org. hostmaster.example.org. 1 2 3 4 5\n@ 60 NS ns1\n"
        (directory / f"{INNER_ZONE}.zone").write_text(inner)
        # A clock far from the file's: what others write here is never "just now".
        self.provider = ZoneFileProvider(directory, clock=FakeClock(wall_at=0.0))

    async def edit(self, key: RRsetKey, rrset: RRset | None) -> None:
        lines = self.file.read_text().splitlines(keepends=True)
        ours = re.compile(rf"({re.escape(key.name.split('.')[0])})?\s.*\b{key.rtype}\s")
        kept = "".join(line for line in lines if not ours.match(line))
        new = [f"{key.name}. {rrset.ttl} {key.rtype} {v}\n" for v in rrset.values] if rrset else []
        self.file.write_text(kept + "".join(new))

    async def set_cname(self, name: str, target: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{name}. 60 CNAME {target}.\n")

    async def break_zone(self) -> None:
        self.file.write_text("; somebody is in the middle of something\n")

    async def foreign(self) -> object:
        ours = re.compile(rf"(?:{WWW}|{API}|{NEW}|www|api|new|)\.?\s.*\bA(AAA)?\s")
        text = self.file.read_bytes().decode()
        lines = [line for line in text.splitlines(keepends=True) if not ours.match(line)]
        return [re.sub(r"\d+ ; serial", "", line) for line in lines]


class TestZoneFileProvider(ProviderSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> FileBench:
        return FileBench(tmp_path)


class TestZoneFileProviderWithCarriageReturns(ProviderSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> FileBench:
        return FileBench(tmp_path, TEXT.replace("\n", "\r\n"))
