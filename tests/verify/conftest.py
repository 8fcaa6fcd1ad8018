"""A stage of servers in memory, its watch running; and real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from dnslb.verify.exchange import Server
from tests.system.named import named
from tests.verify.stage import Stage

__all__ = ["named"]

StartStage = Callable[..., Stage]


@pytest.fixture
def start_stage(nursery: trio.Nursery) -> StartStage:
    def start(*servers: Server, timeout_s: float = 60.0) -> Stage:
        stage = Stage(*servers, timeout_s=timeout_s)
        nursery.start_soon(stage.watch.run, stage.tell)
        return stage

    return start
