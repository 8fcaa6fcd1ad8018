"""Stages for the tests of providers; the pieces stand in the files beside."""

from __future__ import annotations

import pytest
import trio

from tests.doubles.autodns.server import AutoDns
from tests.doubles.autodns.zones import record
from tests.providers.autodns_stage import (
    TOKEN,
    ZONE,
    Stage,
    foreign,
    marker_record,
    run_on_mock_clock,
)
from tests.system.named import named

__all__ = ["mock_time", "named", "stage"]


@pytest.fixture
def mock_time(request: pytest.FixtureRequest) -> None:
    """Runs the test by a mock clock; this mark precedes the one of the trio mode."""
    request.node.add_marker(pytest.mark.trio(run=run_on_mock_clock), append=False)


@pytest.fixture
async def stage(mock_time: None, nursery: trio.Nursery) -> Stage:
    """AutoDNS with example.org in it: www has two addresses, the marker is ours."""
    api = AutoDns()
    await nursery.start(api.serve)
    records = [
        *foreign(5),
        record("www", "A", "192.0.2.1", ttl=60),
        record("www", "A", "192.0.2.2", ttl=60),
        record("api", "A", "192.0.2.9", ttl=300),
        marker_record(TOKEN),
    ]
    api.zones.add(ZONE, records)
    return Stage(api)
