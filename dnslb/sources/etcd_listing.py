"""The monitor list in etcd: what stands there, what should, and since when both are the same.

Not who writes it, or when: that is the lease holder's (`dnslb.daemon.monitor_list_worker`).

Law: only the legacy form is written, since whoever reads it may be old. An empty list is never
written: it would stop every agent, and nobody can have meant that. A write names what it
replaces, so that nothing is overwritten unseen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import trio

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.status import Severity
from dnslb.net.clock import Clock
from dnslb.net.watchable import Watchable
from dnslb.ports.noticeboard import Noticeboard
from dnslb.sources.etcd_codec import LIST_BYTES_MAX, MONITORS_KEY, Held, is_same_list
from dnslb.sources.etcd_follow import Dialect
from dnslb.sources.healthd_codec import WireMonitors
from dnslb.sources.repeats import few

log = logging.getLogger(__name__)

POSITION_SETTLES_S = 120.0
"""Four times an agent's sync interval: by then all have fetched the list that stands there."""
LEFT_OUT = "etcd-left-out"
_EMPTY = b"[]"


class Listing:
    """``connect`` and ``see`` are told by the source, ``set_wanted`` by the configuration.
    ``left_out``: how bad it is that old agents cannot check everything."""

    def __init__(self, clock: Clock, notices: Noticeboard, left_out: Severity) -> None:
        self._clock = clock
        self._notices = notices
        self._left_out = left_out
        self._wire = WireMonitors(MonitorList())
        self._stands: Held | None = None
        self._same_since_mono: float | None = None
        self._turned: Watchable[None] = Watchable(None)
        self._url = ""
        self.dialect: Dialect | None = None

    def connect(self, dialect: Dialect | None, url: str) -> None:
        """What is asked and written with from now on; None while there is no connection."""
        if dialect is None or dialect is not self.dialect:
            # In the store of another API something else may stand.
            self._stands = None
        self.dialect, self._url = dialect, url

    def see(self, held: Held) -> None:
        """This stands there now."""
        self._stands = held
        self._compare()

    async def set_wanted(self, monitors: MonitorList) -> None:
        """This should stand there from now on."""
        if monitors == self._wire.monitors:
            return
        # In a thread: ten thousand monitors take longer than the event loop may stand still.
        self._wire = await trio.to_thread.run_sync(WireMonitors, monitors)
        self._same_since_mono = None
        self._say_left_out()
        self._compare()

    def wire_of(self) -> tuple[WireMonitors, bool]:
        """The list, and whether agents that tell by position can be taken to mean this one."""
        since_mono = self._same_since_mono
        settled = (
            since_mono is not None and self._clock.now().mono - since_mono >= POSITION_SETTLES_S
        )
        return self._wire, settled

    def _compare(self) -> None:
        if self._stands is not None:
            if not is_same_list(self._stands.value, self._wire.legacy_body):
                self._same_since_mono = None
            elif self._same_since_mono is None:
                self._same_since_mono = self._clock.now().mono
        self._turned.set(None)

    # --------------------------------------------------------------------------- for the writer

    async def wait_differs(self, monitors: MonitorList) -> None:
        """As `dnslb.ports.monitor_list.MonitorListStore` says; an empty list never differs."""
        await trio.lowlevel.checkpoint()
        while True:
            revision = self._turned.revision
            if self._is_about(monitors) and self._differs():
                return
            await self._turned.wait_changed(revision)

    def _is_about(self, monitors: MonitorList) -> bool:
        return self._wire.monitors is monitors or self._wire.monitors == monitors

    def _differs(self) -> bool:
        ours, stands = self._wire.legacy_body, self._stands
        return ours != _EMPTY and stands is not None and not is_same_list(stands.value, ours)

    async def prepare(self, monitors: MonitorList) -> PreparedList | None:
        """Reads again; None when it is right or nothing is to stand there."""
        while not self._is_about(monitors):
            await self._turned.wait_changed(self._turned.revision)
        dialect, url, wire = self.dialect, self._url, self._wire
        if dialect is None:
            raise SourceError("etcd cannot be reached")
        held = (await dialect.read(url, MONITORS_KEY)).held
        self.see(held)
        if not self._differs() or wire is not self._wire:
            return None
        if len(wire.legacy_body) > LIST_BYTES_MAX:
            raise SourceError(f"it is longer than the {LIST_BYTES_MAX} bytes that etcd takes")
        return PreparedList(self, dialect, url, held, wire.legacy_body)

    def _say_left_out(self) -> None:
        left_out = self._wire.left_out
        if not left_out:
            self._notices.clear(LEFT_OUT)
            return
        sentence = (
            "agents that fetch the list from etcd cannot check these, so they have no votes of "
            f"theirs: {few(left_out)}"
        )
        log.warning("%s", sentence)
        step = (
            "monitor them by IPv4 and /healthz without a host header, or let agents report "
            "straight to dnslb (-healthd-listen)"
        )
        self._notices.put(self._left_out, LEFT_OUT, "monitors", sentence, step)


@dataclass(frozen=True, slots=True)
class PreparedList:
    """The connection that just read is there to write; ``over``: what it read."""

    listing: Listing
    dialect: Dialect
    url: str
    over: Held
    body: bytes

    async def send(self) -> None:
        index = await self.dialect.write(self.url, self.over, self.body)
        self.listing.see(Held(MONITORS_KEY, self.body, index))
