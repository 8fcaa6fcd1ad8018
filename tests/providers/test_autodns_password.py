"""The daily look at the password."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dnslb.errors import ProviderError
from dnslb.providers.autodns_password import PasswordExpiry
from tests.doubles.autodns.server import CONTEXT, PASSWORD, USER
from tests.providers.autodns_stage import WWW, ZONE, Stage

DAY_S = 86_400.0


async def test_a_login_and_a_logout(stage: Stage) -> None:
    stage.api.login_data = {
        "passwordExpires": "2027-01-31T12:00:00.000+0100",
        "passwordExpired": False,
    }
    expiry = await stage.provider.look_at_password()
    assert expiry.expires_wall == datetime(2027, 1, 31, 11, tzinfo=UTC).timestamp()
    assert not expiry.expired
    login, logout = stage.api.seen
    assert (login.method, login.path) == ("POST", "/login")
    assert login.body == {"user": USER, "password": PASSWORD, "context": CONTEXT}
    assert (logout.method, logout.path) == ("DELETE", "/logout")
    assert "authorization" not in login.headers | logout.headers
    assert stage.api.sessions_open == 0


@pytest.mark.parametrize(
    ("data", "expiry"),
    [
        ({}, PasswordExpiry(None)),
        ({"passwordExpires": None}, PasswordExpiry(None)),
        ({"passwordExpires": "soon"}, PasswordExpiry(None)),
        ({"passwordExpires": 7}, PasswordExpiry(None)),
        ({"passwordExpired": True}, PasswordExpiry(None, expired=True)),
        ({"passwordExpires": "1970-01-02T00:00:00"}, PasswordExpiry(DAY_S)),
    ],
)
async def test_what_is_not_said_is_not_known(
    stage: Stage, data: dict[str, Any], expiry: PasswordExpiry
) -> None:
    stage.api.login_data = data
    assert await stage.provider.look_at_password() == expiry


async def test_without_a_session_there_is_none_to_end(stage: Stage) -> None:
    stage.api.session_sent = False
    await stage.provider.look_at_password()
    assert [seen.path for seen in stage.api.seen] == ["/login"]


async def test_a_session_that_does_not_end_is_no_failure(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="dnslb")
    stage.api.fail(status=502, method="DELETE")
    await stage.provider.look_at_password()
    assert "was not ended" in caplog.text


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_login_stops_no_other_call(stage: Stage, status: int) -> None:
    stage.api.login_status = status
    with pytest.raises(ProviderError):
        await stage.provider.look_at_password()
    assert stage.provider.rejection is None
    assert (await stage.provider.read(ZONE, frozenset({WWW}))).rrsets


@pytest.mark.parametrize(
    ("expiry", "severity", "sentence"),
    [
        (PasswordExpiry(None), None, "is not known"),
        (PasswordExpiry(30.1 * DAY_S), None, "expires in 30 days;"),
        (PasswordExpiry(30 * DAY_S), "warning", "expires in 30 days;"),
        (PasswordExpiry(7.1 * DAY_S), "warning", "expires in 7 days;"),
        (PasswordExpiry(7 * DAY_S), "critical", "expires in 7 days;"),
        (PasswordExpiry(1.5 * DAY_S), "critical", "expires in 1 day;"),
        (PasswordExpiry(0.5 * DAY_S), "critical", "in less than a day;"),
        (PasswordExpiry(0.0), "critical", "has expired"),
        (PasswordExpiry(None, expired=True), "critical", "has expired"),
    ],
)
def test_operators_hear_of_it_in_time(
    expiry: PasswordExpiry, severity: str | None, sentence: str
) -> None:
    assert expiry.severity(0.0) == severity
    assert sentence in expiry.sentence(0.0)
