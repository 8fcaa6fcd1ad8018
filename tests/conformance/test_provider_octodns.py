"""The octoDNS bridge keeps what every provider keeps: with zones in YAML, and with a real BIND.

Each pass is a process, so this is slow. What does not depend on the class (where a zone is found,
what a plan may say, who may take the marker) is tried with YAML alone.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslb.model.lease import FencingToken
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers import marker
from dnslb.providers.octodns import OctodnsProvider
from tests.conformance.fence import FenceBench, FenceSuite
from tests.conformance.provider import (
    ALIAS_TARGET,
    API,
    INNER_ZONE,
    NEW,
    TOKEN,
    WWW,
    ZONE,
    ProviderSuite,
)
from tests.conformance.test_provider_rfc2136 import RECORDS, BindBench
from tests.system.named import KEY, NamedZone, StartNamed

MARKER = "dnslb owner=tests epoch=1 term=1 nonce=nonce"
TEXT = f"""\
---
"":
  - {{type: A, value: 198.51.100.1}}
  - {{type: NS, values: [ns1.{ZONE}., ns2.{ZONE}.]}}
_dnslb: {{type: TXT, ttl: 300, value: {MARKER}}}
alias: {{type: CNAME, value: {ALIAS_TARGET}.}}
api: {{type: A, ttl: 300, value: 192.0.2.9}}
other:
  - {{type: A, value: 198.51.100.2}}
  - {{type: TXT, value: "one ; two"}}
www:
  - {{type: A, ttl: 60, values: [192.0.2.1, 192.0.2.2]}}
  - {{type: AAAA, ttl: 60, value: "2001:db8::1"}}
  - {{type: TXT, value: "at our name, yet not ours"}}
"""


class YamlBench:
    def __init__(self, directory: Path) -> None:
        self.file = directory / f"{ZONE}.yaml"
        self.file.write_text(TEXT)
        (directory / f"{INNER_ZONE}.yaml").write_text("www: {type: A, value: 192.0.2.1}\n")
        settings = {
            "directory": str(directory),
            "enforce_order": False,
            "escaped_semicolons": False,
        }
        self.provider = OctodnsProvider(
            "octodns.provider.yaml.YamlProvider", settings, TOKEN.owner_id, accepted="zone"
        )

    def _zone(self) -> dict[str, list[dict[str, Any]]]:
        zone = yaml.safe_load(self.file.read_text())
        return {name: r if isinstance(r, list) else [r] for name, r in zone.items()}

    async def edit(self, key: RRsetKey, rrset: RRset | None) -> None:
        zone, short = self._zone(), key.name.removesuffix(f".{ZONE}")
        records = [r for r in zone.get(short, []) if r["type"] != key.rtype]
        if rrset is not None:
            records.append({"type": key.rtype, "ttl": rrset.ttl, "values": list(rrset.values)})
        self.file.write_text(yaml.safe_dump({**zone, short: records}))

    async def set_cname(self, name: str, target: str) -> None:
        record = {"type": "CNAME", "value": f"{target}."}
        short = name.removesuffix(f".{ZONE}")
        self.file.write_text(yaml.safe_dump({**self._zone(), short: [record]}))

    def mark(self, text: str) -> None:
        zone = {**self._zone(), "_dnslb": [{"type": "TXT", "ttl": 300, "value": text}]}
        self.file.write_text(yaml.safe_dump(zone))

    async def break_zone(self) -> None:
        self.file.write_text("www: [somebody is in the middle of something\n")

    async def foreign(self) -> object:
        ours = {name.removesuffix(f".{ZONE}") for name in (WWW, API, NEW)}
        zone = {
            name: [r for r in records if name not in ours or r["type"] not in ("A", "AAAA")]
            for name, records in self._zone().items()
        }
        return {name: records for name, records in zone.items() if records}


class TestOctodnsProviderWithYaml(ProviderSuite, FenceSuite):
    async def mark(self, bench: FenceBench, token: FencingToken) -> None:
        assert isinstance(bench, YamlBench)
        bench.mark(marker.to_text(token))

    @pytest.fixture
    def bench(self, tmp_path: Path) -> YamlBench:
        return YamlBench(tmp_path)


class TestOctodnsProviderWithBind(ProviderSuite):
    test_fence_is_taken = FenceSuite.test_a_newer_token_takes_over_and_shuts_the_older_one_out
    test_fence_touches_nothing_else = FenceSuite.test_nothing_else_is_touched

    @pytest.fixture
    def bench(self, named: StartNamed) -> BindBench:
        records = f'{RECORDS}_dnslb 300 TXT "{MARKER}"\n'
        server = named(NamedZone(ZONE, records), NamedZone(INNER_ZONE))
        host, port = server.address
        settings = {
            "host": host,
            "port": port,
            "key_name": f"{KEY.name}.",
            "key_secret": base64.b64encode(KEY.secret).decode(),
        }
        provider = OctodnsProvider(
            "octodns_bind.Rfc2136Provider", settings, TOKEN.owner_id, zones=(ZONE, INNER_ZONE)
        )
        return BindBench(server, provider)
