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
from dnslb.providers.autodns_answer import Answer
from dnslb.providers.autodns_budget import Urgency
from dnslb.providers.autodns_http import CONTEXT_HEADER, SESSION_HEADER, AutoDnsHttp, Call

log = logging.getLogger(__name__)
WARN_DAYS = 30
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PasswordExpiry:
    """``expires_wall``: None when AutoDNS names no day. ``expired``: it is past already."""

    expires_wall: float | None
    expired: bool = False

    def sentence(self, wall: float) -> str | None:
        """What an operator should hear about it now; None while there is time."""
        if self.expired or (self.expires_wall is not None and self.expires_wall <= wall):
            return "The AutoDNS password has expired: set a new one at AutoDNS and here."
        if self.expires_wall is None or self.expires_wall - wall > WARN_DAYS * _DAY_S:
            return None
        days = int((self.expires_wall - wall) // _DAY_S)
        when = "in less than a day" if days == 0 else f"in {days} day{'s' if days > 1 else ''}"
        return f"The AutoDNS password expires {when}: set a new one at AutoDNS and here."


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
