"""Zones at real and pretended providers, with a configuration for each, for tests of the whole.

BIND is a real `named`; AutoDNS is the stand-in, on a loop of its own in a thread.
"""

from __future__ import annotations

import base64
import copy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
import trio

from dnslb.daemon import registry
from dnslb.model.names import marker_name
from tests.doubles.autodns.server import CONTEXT, PASSWORD, USER, AutoDns
from tests.doubles.autodns.zones import record
from tests.system.named import KEY, POLICY, Named, NamedZone, StartNamed, named
from tests.system.network import HERE, Place

__all__ = ["AutoDnsGround", "BindGround", "Ground", "named"]

ZONE = "example.org"
NAME_SERVER = "a.ns14.net"
FOREIGN = 'mail 300 A 198.51.100.25\n@ MX 10 mail\nftp CNAME mail\nwww TXT "not ours"\n'
OURS = ("A", "AAAA")


class Ground(Protocol):
    """``toml``: top-level keys that name this provider."""

    toml: str

    def markers(self) -> list[str]: ...

    def set_marker(self, text: str | None) -> None: ...

    def values(self, name: str) -> set[str]:
        """Addresses there now, A and AAAA."""

    def set_values(self, name: str, *values: str, ttl: int = 60) -> None: ...

    def foreign(self) -> object:
        """Everything but the marker and the addresses below www, to be compared."""

    def version(self) -> object:
        """What differs after any write at all."""


class BindGround:
    def __init__(
        self, directory: Path, start: StartNamed, options: str = POLICY, place: Place = HERE
    ) -> None:
        self.named: Named = start(NamedZone(ZONE, FOREIGN, options), place=place)
        self.key_file = directory / "tsig.key"
        secret = base64.b64encode(KEY.secret).decode()
        self.key_file.write_text(
            f'key "{KEY.name}" {{ algorithm {KEY.algorithm}; secret "{secret}"; }};\n'
        )
        self.key_file.chmod(0o600)
        self.toml = (
            'provider = "bind"\nowner-id = "tests"\n'
            f'bind-server = "{place.address}:{self.named.port}"\n'
            f'bind-key-file = "{self.key_file}"\n'
        )

    def _rdataset(self, name: str, rtype: str) -> list[Any]:
        zone = self.named.transfer(ZONE)
        found = zone.get_rdataset(dns.name.from_text(name), dns.rdatatype.from_text(rtype))
        return list(found) if found else []

    def markers(self) -> list[str]:
        texts = [r.strings[0].decode() for r in self._rdataset(marker_name(ZONE), "TXT")]
        return sorted(texts)

    def set_marker(self, text: str | None) -> None:
        name = f"{marker_name(ZONE)}."

        def edit(update: Any) -> None:
            update.delete(name, "TXT")
            if text is not None:
                update.add(name, 60, "TXT", f'"{text}"')

        self.named.change(ZONE, edit)

    def values(self, name: str) -> set[str]:
        return {r.address for rtype in OURS for r in self._rdataset(name, rtype)}

    def set_values(self, name: str, *values: str, ttl: int = 60) -> None:
        def edit(update: Any) -> None:
            update.delete(f"{name}.", "A")
            if values:
                update.add(f"{name}.", ttl, "A", *values)

        self.named.change(ZONE, edit)

    def foreign(self) -> object:
        return [
            line
            for line in self.named.records(ZONE)
            if not line.startswith(f"{marker_name(ZONE)}. ")
            and not (line.startswith(f"www.{ZONE}. ") and line.split()[3] in OURS)
        ]

    def version(self) -> object:
        return self.named.serial(ZONE)


class AutoDnsGround:
    """Close it."""

    def __init__(self) -> None:
        self.api = AutoDns()
        self.api.zones.add(
            ZONE,
            [
                record("mail", "A", "198.51.100.25", ttl=300),
                record("", "MX", "mail", pref=10),
                record("ftp", "CNAME", "mail"),
                record("www", "TXT", "not ours"),
            ],
        )
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._thread.start()
        assert self._ready.wait(10)
        self.toml = (
            'provider = "autodns"\nowner-id = "tests"\n'
            f'autodns-username = "{USER}"\nautodns-password = "env:DNSLB_TEST_PASSWORD"\n'
            f'autodns-context = {CONTEXT}\nautodns-url = "{self.api.url}"\n'
        )

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.api.serve)
                self._ready.set()

    def close(self) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join()

    @property
    def _records(self) -> list[dict[str, Any]]:
        return list(self.api.zones.records(ZONE))

    def _replace(self, name: str, rtype: str, *new: dict[str, Any]) -> None:
        kept = [r for r in self._records if (r["name"], r["type"]) != (name, rtype)]
        self.api.zones.by_key[ZONE, NAME_SERVER]["resourceRecords"] = [*kept, *new]

    def markers(self) -> list[str]:
        return sorted(r["value"] for r in self._records if r["name"] == "_dnslb")

    def set_marker(self, text: str | None) -> None:
        new = [] if text is None else [record("_dnslb", "TXT", text, ttl=300)]
        self._replace("_dnslb", "TXT", *new)

    def values(self, name: str) -> set[str]:
        short = name.removesuffix(f".{ZONE}")
        return {r["value"] for r in self._records if r["name"] == short and r["type"] in OURS}

    def set_values(self, name: str, *values: str, ttl: int = 60) -> None:
        short = name.removesuffix(f".{ZONE}")
        self._replace(short, "A", *(record(short, "A", value, ttl=ttl) for value in values))

    def foreign(self) -> object:
        return copy.deepcopy(
            [
                r
                for r in self._records
                if r["name"] != "_dnslb" and not (r["name"] == "www" and r["type"] in OURS)
            ]
        )

    def version(self) -> object:
        return self.api.zones.writes, copy.deepcopy(self._records)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of this process come as fast as they can: for tests of what is said, not of pace."""
    monkeypatch.setattr(AutoDns, "limiter_at_start", False)
    monkeypatch.setattr(registry, "AUTODNS_CALLS_PER_S_BESIDE", 1000.0)


@pytest.fixture(params=["bind", "autodns"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    """One of each."""
    monkeypatch.setenv("DNSLB_TEST_PASSWORD", PASSWORD)
    if request.param == "bind":
        yield BindGround(tmp_path, request.getfixturevalue("named"))
        return
    made = AutoDnsGround()
    yield made
    made.close()
