"""When the password expires: AutoDNS wants a new one at least every twelve months.

A login says so, and nothing else does. It makes a session, which is ended at once.

Law: what this finds stops no change; a login that is refused (a second factor is asked for, say)
says nothing of the calls that work without one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from dnslb.errors import ProviderError
from dnslb.model.status import Severity
from dnslb.providers.autodns_answer import Answer
from dnslb.providers.autodns_budget import Urgency
from dnslb.providers.autodns_http import CONTEXT_HEADER, SESSION_HEADER, AutoDnsHttp, Call

log = logging.getLogger(__name__)
WARN_DAYS, CRITICAL_DAYS = 30, 7
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PasswordExpiry:
    """``expires_wall``: None when AutoDNS names no day. ``expired``: it is past already."""

    expires_wall: float | None
    expired: bool = False

    def severity(self, wall: float) -> Severity | None:
        """How much an operator should care about it now; None while there is time."""
        days = self._days(wall)
        if days is None or days > WARN_DAYS:
            return None
        return "critical" if days <= CRITICAL_DAYS else "warning"

    def sentence(self, wall: float) -> str:
        days = self._days(wall)
        if days is None:
            return "When the AutoDNS password expires is not known."
        if days <= 0:
            return "The AutoDNS password has expired: AutoDNS may refuse every change."
        whole = int(days)
        when = "in less than a day" if not whole else f"in {whole} day{'s' if whole > 1 else ''}"
        return f"The AutoDNS password expires {when}; after that AutoDNS refuses every change."

    def _days(self, wall: float) -> float | None:
        """Until it expires."""
        if self.expired:
            return 0.0
        return None if self.expires_wall is None else (self.expires_wall - wall) / _DAY_S


async def look_at_password(http: AutoDnsHttp) -> PasswordExpiry:
    """Two calls. Raises `ProviderError`."""
    body = {"user": http.username, "password": http.password(), "context": http.context}
    login = Call("POST", "/login", "looking at the password", body, aside=True, headers={})
    async with http.line() as line:
        answer = await line.ask(login, Urgency.ROUTINE)
        if session := answer.headers.get(SESSION_HEADER.lower()):
            headers = {SESSION_HEADER: session, CONTEXT_HEADER: str(http.context)}
            end = Call("DELETE", "/logout", "ending the session", aside=True, headers=headers)
            try:
                await line.ask(end, Urgency.ROUTINE)
            except ProviderError as error:
                # It ends by itself after ten minutes.
                log.info("the session that looked at the password was not ended: %s", error)
    return _expiry(answer)


def _expiry(answer: Answer) -> PasswordExpiry:
    user = answer.data[0] if answer.data and isinstance(answer.data[0], dict) else {}
    text = user.get("passwordExpires")
    wall = None
    if isinstance(text, str):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            log.warning("AutoDNS says that the password expires at %.40r, which is no date", text)
        else:
            wall = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return PasswordExpiry(wall, user.get("passwordExpired") is True)
