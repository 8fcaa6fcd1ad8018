"""Fixtures of the console's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslbctl import aclient
from tests.console.cluster import Cluster
from tests.console.stage import CLUSTERS, CROWD, ENTRIES, info, round_trip_s
from tests.dnslbctl.daemon import Daemon, running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's clock stands still in here, so it sends no heartbeats."""
    monkeypatch.setattr(aclient, "QUIET_S", 60.0)


@pytest.fixture
def election() -> str:
    """What the daemon of a test elects by; a test may parametrize it."""
    return "raft"


@pytest.fixture
def daemon(tmp_path: Path, election: str) -> Iterator[Daemon]:
    """The real control server over the crowd of `stage`."""
    path = tmp_path / "s"
    given = {
        "entries": ENTRIES,
        "members": CLUSTERS[election],
        "info": info(election),
        "round_trip_s": round_trip_s,
    }
    with running(path, CROWD, **given) as found:
        if election == "raft":
            found.shown.execute = Cluster(found.shown).execute  # type: ignore[method-assign]
        yield found
