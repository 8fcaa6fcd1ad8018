"""The double answers as a real API server does: held against the record of one."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import trio

from tests.doubles.kubernetes_api import conversation
from tests.doubles.kubernetes_api.conversation import STEPS, hold
from tests.doubles.kubernetes_api.place import NAME
from tests.doubles.kubernetes_api.serving import serving
from tests.doubles.kubernetes_api.terms import Rule, least_rules

RECORD = Path(conversation.__file__).with_name("record.json")
ALL = Rule(("leases", "configmaps"), ("get", "list", "watch", "create", "update", "delete"))


async def test_the_double_answers_as_a_real_server_did(tmp_path: Path) -> None:
    record = json.loads(RECORD.read_text())
    tokens = {"dnslb": "d", "admin": "a"}
    async with serving(tmp_path) as world:
        world.api.allow("d", "dnslb", *least_rules(NAME))
        world.api.allow("a", "admin", ALL)
        with httpx.Client(base_url=world.place.url, verify=False) as client:
            answers = await trio.to_thread.run_sync(hold, client, tokens)
        world.api.objects.warnings.clear()
    differing = {
        name: {"real": record["answers"][name], "double": answer}
        for name, answer in answers.items()
        if record["answers"].get(name) != answer
    }
    if differing:
        pytest.fail(json.dumps(differing, indent=1), pytrace=False)
    assert set(record["answers"]) == {*(step.name for step in STEPS), "versions"}
