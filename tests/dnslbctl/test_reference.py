"""The reference says what the program knows: no verb, option, path or key is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnslb.api import messages
from dnslb.control.handlers import Handlers
from dnslb.model.command import COMMAND_KINDS
from dnslb.net.clock import FakeClock
from dnslbctl import cli
from tests.doubles.operations import INFO, Shown, picture

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
VERBS = (REFERENCE / "dnslbctl.md").read_text()
API = (REFERENCE / "control-api.md").read_text()


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda verb: verb.name)
def test_every_verb_is_explained_with_its_options(verb: cli.Verb) -> None:
    (row,) = [
        line
        for line in VERBS.splitlines()
        if line.startswith("| ") and re.search(rf"`{verb.name}[ `]", line.split(" | ")[0])
    ]
    for option in verb.options:
        if option.name != "--async":  # changing raft commands have it, which are not here yet
            assert option.name in row


def test_every_option_is_explained() -> None:
    rows = "\n".join(line for line in VERBS.splitlines() if line.startswith("| `--"))
    assert [option.name for option in cli.OPTIONS if f"`{option.name}" not in rows] == []


def test_every_path_is_explained() -> None:
    shown = Shown(picture())
    routes = Handlers(shown, shown, INFO, FakeClock())._routes
    for path, methods in routes._by_path.items():
        for method in methods:
            assert f"`{method} {path.replace('/*', '/NAME')}" in API, (method, path)


@pytest.mark.parametrize(
    "shape",
    [
        messages.Status,
        messages.Member,
        messages.Endpoint,
        messages.Change,
        messages.StandingOrder,
        messages.Why,
        messages.Agent,
        messages.Zone,
        messages.Pause,
        messages.LoadBalancerSummary,
        messages.CommandRequest,
    ],
)
def test_every_key_is_explained(shape: type) -> None:
    assert [key for key in shape.__annotations__ if f'"{key}"' not in API] == []


def test_every_command_and_every_field_of_a_row_is_explained() -> None:
    assert [kind for kind in COMMAND_KINDS if f"`{kind}`" not in API] == []
    assert ", ".join(messages.WATCH_ROW) in " ".join(API.split())
