"""What is told of the account while the daemon runs: rejections at once, the password daily."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio

from dnslb.errors import ProviderRefusal
from dnslb.model.status import Severity
from dnslb.net.clock import FakeClock
from dnslb.providers.autodns_account import FIRST_LOOK_S, LOOK_AGAIN_S, LOOK_EVERY_S
from tests.doubles.autodns.server import PASSWORD
from tests.providers.autodns_stage import WWW, ZONE, Stage

DAY_S = 86_400.0
WALL_AT = 1_767_225_600.0
NAMES = frozenset({WWW})


class Board:
    """`dnslb.ports.noticeboard.Noticeboard`: kind → severity, sentence and next step."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Severity, str, str]] = {}

    def put(
        self, severity: Severity, kind: str, subject: str, sentence: str, next_step: str
    ) -> None:
        assert subject == "autodns"
        self.rows[kind] = (severity, sentence, next_step)

    def clear(self, kind: str, subject: str | None = None) -> None:
        self.rows.pop(kind, None)


@pytest.fixture
async def board(stage: Stage, nursery: trio.Nursery) -> Board:
    """The rows of the stage's provider, which runs."""
    board = Board()
    stage.provider = stage.make(clock=FakeClock(wall_at=WALL_AT), password=lambda: PASSWORD)
    nursery.start_soon(stage.provider.run, board)
    return board


def expires(stage: Stage, days: float) -> None:
    at = datetime.fromtimestamp(WALL_AT + days * DAY_S, UTC)
    stage.api.login_data = {"passwordExpires": at.isoformat(), "passwordExpired": False}


def logins(stage: Stage) -> list[float]:
    return [seen.at for seen in stage.api.seen if seen.path == "/login"]


async def test_the_password_is_looked_at_once_a_day_and_not_at_once(
    stage: Stage, board: Board
) -> None:
    expires(stage, 31.5)
    await trio.sleep(FIRST_LOOK_S - 1)
    assert logins(stage) == []
    await trio.sleep(5)
    assert board.rows == {}
    await trio.sleep(3 * (LOOK_EVERY_S + FIRST_LOOK_S + 5))
    assert len(logins(stage)) == 4
    severity, sentence, next_step = board.rows["password-expiry"]
    assert (severity, sentence.partition(";")[0]) == (
        "warning",
        "The AutoDNS password expires in 28 days",
    )
    assert "reload (SIGHUP)" in next_step
    await trio.sleep(23 * DAY_S)
    assert board.rows["password-expiry"][0] == "critical"
    assert stage.api.sessions_open == 0


async def test_a_new_password_is_looked_at_after_the_reload_that_brought_it(
    stage: Stage, board: Board
) -> None:
    expires(stage, 3)
    await trio.sleep(FIRST_LOOK_S + 5)
    assert board.rows["password-expiry"][0] == "critical"
    stage.api.password = "another"
    expires(stage, 365)
    stage.provider.reload(lambda: "another")
    await trio.sleep(FIRST_LOOK_S + 5)
    assert board.rows == {}


async def test_a_look_that_failed_is_no_good_news_and_no_bad_one(
    stage: Stage, board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    expires(stage, 20)
    await trio.sleep(FIRST_LOOK_S + 5)
    before = dict(board.rows)
    assert before
    stage.api.fail(status=502)
    await trio.sleep(LOOK_EVERY_S + FIRST_LOOK_S + 5)
    assert "is not known" in caplog.text
    assert board.rows == before
    await trio.sleep(LOOK_AGAIN_S + FIRST_LOOK_S)
    assert len(logins(stage)) == 3
    stage.api.login_status = 401
    await trio.sleep(LOOK_EVERY_S + FIRST_LOOK_S + 5)
    assert len(logins(stage)) == 4
    assert board.rows["password-expiry"][0] == "warning"
    await trio.sleep(LOOK_AGAIN_S * 2)
    assert len(logins(stage)) == 4, "a refused login is not repeated soon: it may lock the account"


async def test_rejected_credentials_are_a_critical_row_until_a_reload(
    stage: Stage, board: Board
) -> None:
    await stage.provider.read(ZONE, NAMES)
    assert board.rows == {}
    stage.api.password = "changed elsewhere"
    with pytest.raises(ProviderRefusal):
        await stage.provider.read(ZONE, NAMES)
    await trio.testing.wait_all_tasks_blocked()
    severity, sentence, next_step = board.rows["credentials-rejected"]
    assert severity == "critical"
    assert "No more calls are made until dnslb is reloaded" in sentence
    assert "SIGHUP" in next_step
    calls = len(stage.api.seen)
    await trio.sleep(3 * DAY_S)
    assert len(stage.api.seen) == calls, "the daily look does not call either"
    stage.api.password = PASSWORD
    stage.provider.reload(None)
    await trio.testing.wait_all_tasks_blocked()
    assert board.rows == {}
    await stage.provider.read(ZONE, NAMES)


async def test_name_servers_cost_no_call_of_their_own(stage: Stage) -> None:
    shown = ("a.ns14.net", "b.ns14.net", "c.ns14.net", "d.ns14.net")
    assert await stage.provider.name_servers(ZONE) == shown
    calls = len(stage.api.seen)
    zone = stage.api.zones.by_key[ZONE, "a.ns14.net"]
    assert await stage.provider.name_servers(ZONE) == shown
    assert len(stage.api.seen) == calls
    zone["nameServers"] = [{"name": "A.ns14.net."}, {"name": "?"}, {"ttl": 5}, "x", {"name": None}]
    await stage.provider.read(ZONE, NAMES)
    assert await stage.provider.name_servers(ZONE) == ("a.ns14.net",)
