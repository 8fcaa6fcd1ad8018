"""A zone on the shelf, the bridge over it, and a worker's pass without a process. Not a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dnslb.model.lease import FencingToken
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.octodns import OctodnsProvider
from dnslb.providers.octodns_manner import Manner
from dnslb.providers.octodns_wire import Answer, ProviderClass, Swap, Task, Word, WriteZone
from dnslb.providers.octodns_worker import Pass
from tests.doubles.octodns_shelf import NAME, Zone, change_zone, read_zone

ZONE = "example.org"
TOKEN = FencingToken("tests", 1, 1, "nonce")
MARKER = "dnslb owner=tests epoch=1 term=1 nonce=nonce"
SECRET = "geheim-und-lang-genug"
WWW = RRsetKey("www.example.org", "A")
API = RRsetKey("api.example.org", "A")
NEW = RRsetKey("new.example.org", "A")


def content() -> Zone:
    return {
        "": {"NS": [3600, ["ns1.example.org."]]},
        "_dnslb": {"TXT": [300, [MARKER]]},
        "www": {"A": [60, ["192.0.2.1", "192.0.2.2"]], "TXT": [60, ["not ours"]]},
        "api": {"A": [300, ["192.0.2.9"]]},
        "alias": {"CNAME": [60, ["elsewhere.example.net."]]},
    }


def rrset(key: RRsetKey, *values: str, ttl: int = 60) -> RRset:
    return RRset(key, ttl, values)


BEFORE = rrset(WWW, "192.0.2.1", "192.0.2.2")
AFTER = rrset(WWW, "192.0.2.1")


class Stage:
    """``zone``: what stands at first; more keywords are settings of the class."""

    def __init__(self, directory: Path, zone: Zone | None = None, **settings: Any) -> None:
        self.path = directory / "zone.json"
        self.path.write_text(json.dumps(content() if zone is None else zone))
        self.settings = {"path": str(self.path), **settings}

    def provider(self, *, accepted: Manner = "zone", **more: Any) -> OctodnsProvider:
        return OctodnsProvider(NAME, self.settings, TOKEN.owner_id, accepted=accepted, **more)

    def run(self, task: Task, **hooks: Any) -> Answer:
        """A pass in this process; raises what the worker would make an answer of."""
        return Pass(ProviderClass(NAME, self.settings, "zone"), Script(**hooks)).run(task)

    def change(self, name: str, rtype: str, rrset: list[Any] | None) -> None:
        change_zone(self.path, name, rtype, rrset)

    @property
    def zone(self) -> Zone:
        return read_zone(self.path)

    @property
    def calls(self) -> list[str]:
        file = self.path.with_suffix(".calls")
        return file.read_text().splitlines() if file.exists() else []


class Script:
    """The other end of a worker's channel. ``before_look``, ``before_write``: what happens before
    those words come."""

    def __init__(self, before_look: Any = None, before_write: Any = None) -> None:
        self._hooks = {"look": before_look, "write": before_write}
        self.said: list[Answer] = []

    def say(self, answer: Answer) -> None:
        self.said.append(answer)

    def wait_word(self, word: Word, limit_s: int) -> None:
        assert limit_s > 0
        if (hook := self._hooks[word]) is not None:
            hook()

    def end_after(self, seconds: int) -> None:
        assert seconds > 0


def change(before: RRset | None, after: RRset | None) -> Change:
    key = (before or after or AFTER).key
    return Change(key, before, after, "a test", "health", "a test empties it")


def plan(*changes: Change) -> Plan:
    return Plan(ZONE, changes, TOKEN.term)


def write_task(*changes: tuple[RRset | None, RRset | None], token: bool = True) -> WriteZone:
    swaps = tuple(Swap((before or after or AFTER).key, before, after) for before, after in changes)
    return WriteZone(ZONE, swaps, TOKEN if token else None)
