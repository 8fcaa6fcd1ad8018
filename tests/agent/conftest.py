"""The fixture that starts an agent on scripted upstreams."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.agent.scripted import ScriptedUpstream, Stage, Start


@pytest.fixture
def start(nursery: trio.Nursery) -> Start:
    async def started(*upstreams: ScriptedUpstream, **options: Any) -> Stage:
        stage = Stage(*upstreams, **options)
        nursery.start_soon(stage.agent.run)
        await wait_all_tasks_blocked()
        return stage

    return started
