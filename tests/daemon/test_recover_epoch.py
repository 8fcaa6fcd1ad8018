"""``dnslb raft recover`` and the markers of the zones: whose epoch the new cluster's is above."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dnslb.daemon import registry
from dnslb.daemon.registry import Publication
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.store import SqliteStore
from dnslb.errors import ProviderError, ProviderTemporary
from dnslb.model.lease import FencingToken
from dnslb.providers.memory import MemoryProvider
from tests.daemon.test_recover import BOTH, Verb, bare_environment, raft_dir, verb

__all__ = ["bare_environment", "raft_dir", "verb"]
pytestmark = pytest.mark.usefixtures("log_settings", "bare_environment")
AHEAD = 4_102_444_800


class Zones:
    """A provider with two zones, whose markers can be read."""

    def __init__(self, markers: dict[str, FencingToken], error: ProviderError | None) -> None:
        self.provider = MemoryProvider({"example.org": (), "example.net": ()})
        self.markers, self.error = markers, error
        self.reads: list[str] = []

    def make(self, *_: object, **__: object) -> Publication:
        return Publication(self.provider, self)

    async def read(self, zone: str) -> FencingToken | None:
        await trio.lowlevel.checkpoint()
        self.reads.append(zone)
        if zone == "example.net" and self.error is not None:
            raise self.error
        return self.markers.get(zone)

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        raise AssertionError("a recovery writes nothing there")

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        raise AssertionError("a recovery writes nothing there")


@pytest.mark.parametrize("error", [None, ProviderTemporary("the server is away")])
def test_the_epoch_is_above_every_marker_that_can_be_read(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: ProviderError | None
) -> None:
    """The wall clock may be behind the one that the old cluster was founded by."""
    lbs = "".join(
        f'[lb."{name}"]\nendpoints = [{{ monitor = "http://127.0.0.1:80" }}]\n'
        for name in ("www.example.org", "api.example.org", "www.example.net", "www.example.com")
    )
    (tmp_path / "c.toml").write_text(f'provider = "file"\nfile-dir = "{tmp_path}"\n{lbs}')
    markers = {
        "example.org": FencingToken("a", AHEAD, 3, "n1"),
        "example.net": FencingToken("them", AHEAD + 7, 3, "n1"),
    }
    zones = Zones(markers, error)
    monkeypatch.setattr(registry, "make_publication", zones.make)
    cfg = ("-cfg", str(tmp_path / "c.toml"), "-owner-id", "a", "-file-shared")
    assert verb.run("-dry-run", *cfg) == 0
    assert ("cannot all be read: the server is away" in verb.out) is (error is not None)
    assert ("a start with -raft-new-epoch raises it" in verb.out) is (error is not None)
    assert zones.reads == ["example.org", "example.net"]
    assert verb.run(*BOTH, *cfg) == 0
    journal = Journal(SqliteStore(verb.raft_dir / "a"))
    assert journal.configuration.epoch == AHEAD + 1
    journal.close()
