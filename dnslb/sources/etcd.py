"""The reports and the monitor list of a healthd, where it keeps them: in etcd.

A `Source`, and the `MonitorListStore` behind it. Which of etcd's APIs is spoken, with which of
its endpoints, and what is done when it fails, is decided here; how it is spoken is not
(`etcd_v2`, `etcd_v3`), nor what a value means (`etcd_reports`).

Law: etcd away, empty, slow or talking nonsense is no vote and no list: nothing follows from it
but a row that says so, and another try. v3 is spoken only where v2 positively is not, since the
Go programs know nothing else.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import trio

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.status import Severity
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.ports.monitor_list import PreparedListing
from dnslb.ports.noticeboard import Noticeboard
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched
from dnslb.sources.etcd_codec import MONITORS_KEY
from dnslb.sources.etcd_follow import NOBODY, Dialect, Login, Seen, run_abreast
from dnslb.sources.etcd_http import EtcdHttp
from dnslb.sources.etcd_listing import Listing
from dnslb.sources.etcd_reports import AgentKey
from dnslb.sources.etcd_v2 import EtcdV2
from dnslb.sources.etcd_v3 import EtcdV3
from dnslb.sources.repeats import Repeats, few

log = logging.getLogger(__name__)

KEPT_BYTES_MAX = 32 * 1024 * 1024
"""Of the agents' last values: of many agents with long lists they are read each time instead."""
LOOK_S_MAX = 10.0
"""How long a connection may be silent before somebody asks whether it is still one."""
STABLE_S = 5.0
"""What ends sooner has not worked, so the wait before the next try goes on growing."""
OTHER_API_EVERY = 6
"""Of so many looks, one goes to the other API as well."""
AWAY, MALFORMED, BOTH = "etcd", "etcd-malformed", "etcd-both"
_AGAIN = Backoff(first_s=0.25, max_s=8.0, jitter=0.5)


class EtcdSource:
    """``api``: v2, v3 or auto. ``look_s``: the longest time between two looks at the monitor
    list. ``agents``: who is configured. ``left_out``: how bad it is that agents which read the
    list in etcd cannot check everything. ``on_error`` is called for each failure at etcd,
    ``observe_read_s`` with the seconds that the first readings of a connection took.

    ``counters`` are monotonic totals by name.
    """

    def __init__(
        self,
        http: EtcdHttp,
        *,
        api: str,
        look_s: float,
        agents: Watched[tuple[str, ...]],
        clock: Clock,
        notices: Noticeboard,
        left_out: Severity = "warning",
        login: Login = NOBODY,
        on_error: Callable[[], None] = lambda: None,
        observe_read_s: Callable[[float], None] = lambda seconds: None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._http = http
        self._api = api
        self._look_s = min(look_s, LOOK_S_MAX)
        self._agents = agents
        self._clock = clock
        self._notices = notices
        self._on_error = on_error
        self._observe_read_s = observe_read_s
        self._luck = luck
        self._v2 = EtcdV2(http, clock, login)
        self._v3 = EtcdV3(http, clock, login)
        self._v2_seen = False
        self._listing = Listing(clock, notices, left_out)
        self._keys: dict[str, AgentKey] = {}
        self._malformed: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._repeats = Repeats()
        self._live_at_mono: float | None = None

    @property
    def counters(self) -> Mapping[str, int]:
        """``reports``, ``unchanged``, ``coalesced``, ``malformed``, ``removed``,
        ``connections``, ``failures``."""
        return self._counts

    @property
    def api(self) -> str | None:
        """The API that is spoken; None while there is no connection."""
        dialect = self._listing.dialect
        return dialect.name if dialect is not None else None

    async def open(self) -> None:
        """Reads the certificates. Raises `TlsError`."""
        await trio.lowlevel.checkpoint()
        self._http.open_files()

    async def aclose(self) -> None:
        """When nothing runs and nothing is written any more."""
        await self._http.aclose()

    # ------------------------------------------------------------------------- the monitor list

    async def wait_differs(self, monitors: MonitorList) -> None:
        await self._listing.wait_differs(monitors)

    async def prepare(self, monitors: MonitorList) -> PreparedListing | None:
        return await self._listing.prepare(monitors)

    # -------------------------------------------------------------------------------- the source

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        """Runs until cancelled, whatever etcd does."""
        revision = monitors.revision
        await self._listing.set_wanted(monitors.value)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_monitors, monitors, revision)
            nursery.start_soon(self._stay_connected, deliver)

    async def _follow_monitors(self, monitors: Watched[MonitorList], revision: int) -> None:
        while True:
            value = await monitors.wait_changed(revision)
            revision = monitors.revision
            await self._listing.set_wanted(value)

    async def _stay_connected(self, deliver: Deliver) -> None:
        failures = 0
        while True:
            self._live_at_mono = None
            try:
                await self._connection(deliver, is_shaky=failures > 0)
            except SourceError as error:
                url = self._http.url
                if self._lived_s() >= STABLE_S:
                    failures = 0
                failures += 1
                self._listing.connect(None, "")
                self._http.turn_away(url)
                self._say_away(url, error, failures)
                # Another endpoint is tried at once; when each has failed, everybody waits.
                rounds, rest = divmod(failures, len(self._http.urls))
                if not rest:
                    await trio.sleep(_AGAIN.delay_s(rounds, self._luck()))

    def _lived_s(self) -> float:
        if self._live_at_mono is None:
            return 0.0
        return self._clock.now().mono - self._live_at_mono

    async def _connection(self, deliver: Deliver, *, is_shaky: bool) -> None:
        """One connection, until it fails (raises) or other agents are configured (returns).
        ``is_shaky``: the one before failed, so this one has to last before it is called good."""
        await self._http.refresh()
        revision, agents = self._agents.revision, self._agents.value
        dialect = await self._choose()
        url = self._http.url
        self._counts["connections"] += 1
        began_mono, is_live = self._clock.now().mono, trio.Event()
        self._listing.connect(dialect, url)
        self._keys = {agent: self._keys.get(agent) or self._new_key(agent) for agent in agents}
        self._forget_malformed(agents)

        def live() -> None:
            if self._live_at_mono is None:
                self._live_at_mono = self._clock.now().mono
                self._observe_read_s(self._live_at_mono - began_mono)
                is_live.set()
                log.info("etcd at %s is followed by its %s API", url, dialect.name)

        async def changed() -> None:
            await self._agents.wait_changed(revision)

        async def settle() -> None:
            await is_live.wait()
            await trio.sleep(STABLE_S if is_shaky else 0)
            self._notices.clear(AWAY)
            await trio.sleep_forever()

        await run_abreast(
            changed,
            settle,
            partial(dialect.follow, url, (MONITORS_KEY, *agents), self._see, live),
            partial(self._look, dialect, url, agents),
            *(partial(key.run, deliver) for key in self._keys.values()),
        )

    def _new_key(self, agent: str) -> AgentKey:
        return AgentKey(agent, self._clock, self._counts, self._listing.wire_of, self._tell)

    def _see(self, seen: Seen) -> None:
        if seen.held.key == MONITORS_KEY:
            self._listing.see(seen.held)
        elif (key := self._keys.get(seen.held.key)) is not None and (
            seen.held.value is not None or not seen.stored
        ):
            key.put_nowait(seen)

    # ----------------------------------------------------------------------------- which API

    async def _choose(self) -> Dialect:
        """The API to speak, and the endpoint to speak it with. Raises `SourceError`."""
        if self._api == "v2":
            return self._v2
        if self._api == "v3":
            return self._v3
        if await self._v2.speaks(self._http.url, MONITORS_KEY):
            self._v2_seen = True
            return self._v2
        for url in self._http.others:
            try:
                speaks = await self._v2.speaks(url, MONITORS_KEY)
            except SourceError as error:
                if self._v2_seen:
                    # It served v2 once, and may again: its store is not given up for a failure.
                    raise SourceError(
                        f"{self._http.url} serves no v2 API, and whether others do cannot be "
                        f"told: {error}"
                    ) from error
                continue
            if speaks:
                self._http.turn_to(url)
                self._v2_seen = True
                return self._v2
        return self._v3

    # ------------------------------------------------------------------------- looking after it

    async def _look(self, dialect: Dialect, url: str, agents: Sequence[str]) -> None:
        """Asks now and then: a watch that nobody serves any more is as silent as a calm one."""
        looks = 0
        while True:
            await trio.sleep(self._look_s)
            self._listing.see((await dialect.read(url, MONITORS_KEY)).held)
            await dialect.check(url)
            if looks % OTHER_API_EVERY == 0 and agents:
                await self._look_at_other(dialect, url, agents)
            looks += 1

    async def _look_at_other(self, dialect: Dialect, url: str, agents: Sequence[str]) -> None:
        """Whether agents have keys in the store of the other API as well."""
        other = "v3" if dialect is self._v2 else "v2"
        try:
            there = await (
                self._v3.present(url, agents) if other == "v3" else self._present_in_v2(url, agents)
            )
        except SourceError as error:
            log.debug("the %s API of etcd says nothing of agents: %s", other, error)
            return
        if not there:
            self._notices.clear(BOTH)
            return
        sentence = (
            f"in etcd's {other} store stand statuses of {few(sorted(there))} as well; only those "
            f"in its {dialect.name} store count"
        )
        step = (
            "let every healthd write to the same API, then delete the other keys; or choose by "
            "-etcd-api"
        )
        self._notices.put("warning", BOTH, "etcd", sentence, step)

    async def _present_in_v2(self, url: str, agents: Sequence[str]) -> list[str]:
        if not await self._v2.speaks(url, MONITORS_KEY):
            return []
        readings = [await self._v2.read(url, agent) for agent in agents]
        return [reading.held.key for reading in readings if reading.held.value is not None]

    # ------------------------------------------------------------------ what goes wrong, in words

    def _say_away(self, url: str, error: SourceError, failures: int) -> None:
        self._counts["failures"] += 1
        self._on_error()
        said = str(error)
        sentence = said if "://" in said else f"{url}: {said}"
        if self._repeats.is_news((AWAY, sentence), self._clock.now().mono):
            log.warning("etcd gives no reports: %s", sentence)
        if failures < len(self._http.urls):
            return
        self._notices.put(
            "warning",
            AWAY,
            "etcd",
            f"etcd gives no reports; what came before counts until it is too old, then DNS stays "
            f"as it is: {sentence}",
            "look at etcd and the way to it; dnslb goes on by itself",
        )

    def _tell(self, agent: str, error: SourceError | None) -> None:
        if error is None:
            kept = sum(key.kept_bytes for key in self._keys.values())
            if kept > KEPT_BYTES_MAX and agent in self._keys:
                self._keys[agent].forget()
            if agent in self._malformed:
                self._malformed.discard(agent)
                self._notices.clear(MALFORMED, agent)
            return
        self._malformed.add(agent)
        sentence = f"what stands in etcd for agent {agent} is no report: {error}"
        if self._repeats.is_news((MALFORMED, agent), self._clock.now().mono):
            log.warning("%s", sentence)
        step = f"look at the healthd that {agent} reports to, and at who else writes to etcd"
        self._notices.put("warning", MALFORMED, agent, sentence, step)

    def _forget_malformed(self, agents: Sequence[str]) -> None:
        for agent in self._malformed - set(agents):
            self._tell(agent, None)
