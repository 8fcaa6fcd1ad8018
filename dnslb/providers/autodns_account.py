"""What a person must hear of the account at AutoDNS: rejected credentials, a password that ends.

Not the calls themselves. It looks at the password once a day, a while after the start, so that
neither a restart in a loop nor a short-lived look makes sessions.

Law: what it finds stops no change, and a look that failed is not told as good news.
"""

from __future__ import annotations

import logging

import trio

from dnslb.errors import ProviderError, ProviderTemporary
from dnslb.net.clock import Clock
from dnslb.ports.noticeboard import Noticeboard
from dnslb.providers.autodns_http import AutoDnsHttp
from dnslb.providers.autodns_password import PasswordExpiry, look_at_password

log = logging.getLogger(__name__)

REJECTED, PASSWORD, SUBJECT = "credentials-rejected", "password-expiry", "autodns"
FIRST_LOOK_S = 60.0
LOOK_EVERY_S = 86_400.0
LOOK_AGAIN_S = 3600.0
"""After a look that failed for a while only."""


class AccountWatch:
    def __init__(self, http: AutoDnsHttp, notices: Noticeboard, clock: Clock) -> None:
        self._http = http
        self._notices = notices
        self._clock = clock

    async def run(self) -> None:
        """Watches until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_rejections)
            nursery.start_soon(self._look_daily)

    async def _tell_rejections(self) -> None:
        rejected = self._http.rejected
        while True:
            revision = rejected.revision
            if rejected.value is None:
                self._notices.clear(REJECTED)
            else:
                self._notices.put(
                    "critical",
                    REJECTED,
                    SUBJECT,
                    str(rejected.value),
                    "put right what is wrong, then reload (SIGHUP); a new user or context takes "
                    "a restart",
                )
            await rejected.wait_changed(revision)

    async def _look_daily(self) -> None:
        while True:
            await trio.sleep(FIRST_LOOK_S)
            revision = self._http.reloads.revision
            wait_s = await self._look()
            with trio.move_on_after(wait_s):
                await self._http.reloads.wait_changed(revision)

    async def _look(self) -> float:
        """Tells what was found; returns the seconds until the next look."""
        try:
            expiry = await look_at_password(self._http)
        except ProviderError as error:
            log.warning("when the AutoDNS password expires is not known: %s", error)
            return LOOK_AGAIN_S if isinstance(error, ProviderTemporary) else LOOK_EVERY_S
        self._tell(expiry)
        return LOOK_EVERY_S

    def _tell(self, expiry: PasswordExpiry) -> None:
        wall = self._clock.now().wall
        severity = expiry.severity(wall)
        if severity is None:
            self._notices.clear(PASSWORD)
            return
        self._notices.put(
            severity,
            PASSWORD,
            SUBJECT,
            expiry.sentence(wall),
            "set a new password at AutoDNS and in -autodns-password, then reload (SIGHUP)",
        )
