"""A throw-away RRset at a provider: written, read, asked for, deleted, and each step measured.

Runs beside a daemon: it writes under the marker as it stands, and takes one, with the epoch that
is nobody's, only where there is none. What it wrote it removes, also when it is interrupted.

Law: only a name at which nothing stood is written, and only what was written there is removed.
What could not be removed is named.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from dnslb.daemon import registry
from dnslb.daemon.config import Config
from dnslb.daemon.registry import Publication
from dnslb.daemon.verbs.examination import Finding, Level, Tell
from dnslb.errors import DnslbError, FenceLost, ProviderConflict, ProviderError, ProviderRefusal
from dnslb.model.lease import NOBODYS_EPOCH, FencingToken
from dnslb.model.names import MARKER_LABEL
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.verify.answer import Records, question
from dnslb.verify.exchange import Exchange, Server
from dnslb.verify.servers import NotKnown

ADDRESS, ANOTHER = "192.0.2.1", "192.0.2.2"
"""For documentation (RFC 5737): nobody is reached by them. The other one is never to be seen."""
TTL_S, TTL_S_USUAL = 1, 60
"""What is asked for at first, and where that is refused."""
READABLE_S_MAX = 60.0
ANSWER_S_MAX = 2.0
CLEAN_S_MAX = 90.0
CLOSE_S_MAX = 1.0
SETTLE_S = 1.0
"""How long a write of unknown outcome may still land, at the least."""
_PACE = Backoff(first_s=0.02, max_s=1.0, factor=1.5, jitter=0.0)
_AGAIN = Backoff(first_s=0.5, max_s=10.0, jitter=0.0)


class Canary:
    """``measured``: what came out, for JSON; seconds."""

    def __init__(
        self, config: Config, publication: Publication, clock: Clock, name: str, tell: Tell
    ) -> None:
        self._config = config
        self._publication = publication
        self._provider = publication.provider
        self._clock = clock
        self._name = name
        self._key = RRsetKey(name, "A")
        self._zone = ""
        self._tell_finding = tell
        self._token = FencingToken(config.owner_id or "", NOBODYS_EPOCH, 0, secrets.token_hex(8))
        self._taken: FencingToken | None = None
        self._stands = False
        self._unsure = False
        self._why_left = "it was interrupted"
        self._work = trio.CancelScope()
        self._cleaning = trio.CancelScope(shield=True)
        self.measured: dict[str, Any] = {"name": name, "left": None}

    async def run(self) -> None:
        """Raises `DnslbError` for a name that cannot be used; whatever goes wrong once something
        was written is a finding."""
        self._zone = await self._find_zone()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._heed_signals)
            try:
                with self._work:
                    await self._take_token()
                    await self._measure(nursery)
            except DnslbError as error:
                self._tell("error", str(error))
            finally:
                self._cleaning.deadline = self._mono() + CLEAN_S_MAX
                with self._cleaning:
                    await self._clean()
                self._tell_end()
            nursery.cancel_scope.cancel()
        if self._work.cancelled_caught:
            self._tell("error", "the canary was interrupted before everything was measured")

    async def _heed_signals(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """The first one ends the work, and what was written is removed; the second ends that."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                (self._cleaning if self._work.cancel_called else self._work).cancel()

    # ------------------------------------------------------------------------------ beforehand

    async def _find_zone(self) -> str:
        name, config = self._name, self._config
        if config.dry_run:
            raise DnslbError("-dry-run is set, so no canary is written")
        if name in {lb.name for lb in config.loadbalancers}:
            raise DnslbError(f"--canary: {name} is configured; name one that nobody needs")
        if name.startswith(("*.", f"{MARKER_LABEL}.")):
            raise DnslbError(f"--canary: {name} has a meaning of its own; name an ordinary one")
        zone = await self._provider.find_zone(name)
        if zone is None:
            raise DnslbError(f"--canary: the provider has no zone for {name}")
        if name == zone:
            raise DnslbError(f"--canary: {name} is a zone itself; name one in it")
        reading = await self._provider.read(zone, frozenset({name}))
        if reading.rrsets or reading.cnames:
            hint = ""
            if any(rrset.values == (ADDRESS,) for rrset in reading.rrsets.values()):
                hint = f" ({ADDRESS} may be what a canary that was killed left: remove it by hand)"
            raise DnslbError(f"--canary: {name} is there already; name one that is not{hint}")
        self.measured["zone"] = zone
        return zone

    async def _take_token(self) -> None:
        """The one that stands, so that whoever wrote it goes on undisturbed."""
        fence = self._publication.fence
        if fence is None:
            return
        held = await fence.read(self._zone)
        if held is None:
            self._taken = self._token
            await fence.take(self._zone, self._token)
        elif held.owner_id != self._config.owner_id:
            raise DnslbError(
                f"--canary: {self._zone} belongs to owner id {held.owner_id!r}, so nothing is "
                "written there"
            )
        else:
            self._token = held

    # ------------------------------------------------------------------------------- measuring

    async def _measure(self, nursery: trio.Nursery) -> None:
        took_s = await self._create()
        began_mono, asked = self._mono(), trio.Event()
        self._note("write_seconds", took_s, f"written in {_ms(took_s)}")
        nursery.start_soon(self._ask_servers, began_mono, asked)
        await self._wait_readable(began_mono)
        await self._try_fence()
        await asked.wait()
        took_s = await self._delete()
        self._note("delete_seconds", took_s, f"deleted in {_ms(took_s)}")

    async def _create(self) -> float:
        try:
            return await self._write(self._wanted(ADDRESS, TTL_S))
        except ProviderRefusal as error:
            refusal = error
        # What is refused again was not refused for its TTL.
        took_s = await self._write(self._wanted(ADDRESS, TTL_S_USUAL))
        self._tell("warning", f"a TTL of {TTL_S} s was refused: {refusal}")
        return took_s

    async def _wait_readable(self, began_mono: float) -> None:
        attempt, rrset = 0, None
        with trio.move_on_after(READABLE_S_MAX):
            while (rrset := await self._read()) is None:
                attempt += 1
                await trio.sleep(_PACE.delay_s(attempt, 0.0))
        if rrset is None:
            self._tell("error", f"is not readable {READABLE_S_MAX:g} s after it was written")
            return
        took_s = self._mono() - began_mono
        self._note("readable_seconds", took_s, f"readable {_ms(took_s)} later")
        asked = self.measured["ttl_asked"]
        sentence = f"a TTL of {asked} s was asked for and {rrset.ttl} s stands"
        level: Level = "ok" if rrset.ttl == asked else "warning"
        self._note("ttl_stands", rrset.ttl, sentence, level)

    async def _try_fence(self) -> None:
        """Writes with a token that nobody has: it must be refused as another writer's."""
        capabilities = self._provider.capabilities
        if not capabilities.marked:
            self._note("fence", "none", "no marker is kept: any writer is as good", "warning")
            return
        stranger = self._token._replace(nonce=secrets.token_hex(8))
        try:
            await self._write(self._wanted(ANOTHER, self.measured["ttl_asked"]), stranger)
        except FenceLost:
            how = "holds" if capabilities.fenced else "compared"
            when = "" if capabilities.fenced else " (compared before writing, not at its instant)"
            self._note("fence", how, f"a write with a wrong token was refused{when}")
        except ProviderError as error:
            sentence = f"whether the fence holds is not known: {error}"
            self._note("fence", "unknown", sentence, "error")
        else:
            self._note("fence", "broken", "a write with a wrong token went through", "error")

    async def _ask_servers(self, began_mono: float, asked: trio.Event) -> None:
        self.measured["served"] = []
        try:
            await self._ask_all(began_mono, self.measured["served"])
        finally:
            asked.set()

    async def _ask_all(self, began_mono: float, served: list[dict[str, Any]]) -> None:
        if not self._config.verify.enabled:
            self._tell("ok", "no server is asked, since -verify-servers is off")
            return
        exchange = Exchange()
        finder = registry.make_server_finder(self._config, self._publication, exchange)
        try:
            found = await finder.find(self._zone)
        except NotKnown as why:
            self._tell("warning", f"nobody can be asked whether it is served: {why}")
            return
        for sentence in found.left_out:
            self._tell("warning", f"a server is left out: {sentence}")

        async def ask(server: Server) -> None:
            took_s, last = await self._wait_served(exchange, server, began_mono)
            served.append({"server": str(server), "seconds": took_s, "sentence": last})
            if took_s is None:
                self._tell("warning", f"{server} does not serve it: it {last}")
            else:
                self._tell("ok", f"served by {server} {_ms(took_s)} later")

        async with trio.open_nursery() as nursery:
            for server in found.servers:
                nursery.start_soon(ask, server)

    async def _wait_served(
        self, exchange: Exchange, server: Server, began_mono: float
    ) -> tuple[float | None, str]:
        """Seconds until it answered as written, or None; and what it answered last."""
        attempt, last = 0, "was not asked"
        with trio.move_on_after(self._config.verify.timeout_s):
            while True:
                answer = await exchange.ask(server, question(*self._key), ANSWER_S_MAX)
                last = str(answer)
                if isinstance(answer, Records) and answer.values == (ADDRESS,):
                    return self._mono() - began_mono, last
                attempt += 1
                await trio.sleep(_PACE.delay_s(attempt, 0.0))
        return None, last

    # ------------------------------------------------------------------------ reads and writes

    def _wanted(self, address: str, ttl: int) -> RRset:
        self.measured["ttl_asked"] = ttl
        return RRset(self._key, ttl, (address,))

    async def _read(self) -> RRset | None:
        reading = await self._provider.read(self._zone, frozenset({self._name}))
        return reading.rrsets.get(self._key)

    async def _delete(self) -> float:
        took_s = await self._write(None)
        self._stands = self._unsure = False
        return took_s

    async def _write(self, wanted: RRset | None, token: FencingToken | None = None) -> float:
        """Compares with what stands now; returns the seconds that the write itself took."""
        token = token or self._token
        reading = await self._provider.read(self._zone, frozenset({self._name}))
        before = reading.rrsets.get(self._key)
        if before is not None and not {ADDRESS, ANOTHER}.issuperset(before.values):
            raise ProviderConflict(f"somebody else writes {self._key}")
        if before is None and wanted is None:
            raise ProviderConflict(f"somebody else removed {self._key}")
        why = "the canary is over" if wanted is None else None
        change = Change(self._key, before, wanted, "a canary", "operator", why)
        plan = Plan(self._zone, (change,), token.term, reading.basis)
        began_mono = self._mono()
        prepared = await self._provider.prepare(plan, token)
        try:
            with self._sending():
                await prepared.send()
        finally:
            with trio.move_on_after(CLOSE_S_MAX, shield=True):
                await prepared.aclose()
        return self._mono() - began_mono

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """From here on something may stand there, until it is known that nothing does."""
        self._stands = self._unsure = True
        try:
            yield
        except ProviderRefusal:
            self._unsure = False
            raise
        self._unsure = False

    # -------------------------------------------------------------------------------- cleaning

    async def _clean(self) -> None:
        """Tries until it is done, or `_cleaning` ends."""
        attempt = 0
        while self._stands or self._taken is not None:
            try:
                if self._stands:
                    await self._remove()
                await self._give_marker_back()
            except ProviderError as error:
                self._why_left = str(error)
                attempt += 1
                await trio.sleep(_AGAIN.delay_s(attempt, 0.0))

    async def _remove(self) -> None:
        if (rrset := await self._read()) is None and self._unsure:
            # A write that was cut off may still land.
            await trio.sleep(max(SETTLE_S, self._provider.capabilities.write_s_max))
            rrset = await self._read()
        if rrset is None:
            self._stands = False
            return
        if self._publication.fence is not None:
            # A daemon of ours may have taken the zone over meanwhile.
            held = await self._publication.fence.read(self._zone)
            if held is not None and held.owner_id == self._config.owner_id:
                self._token = held
        await self._delete()

    async def _give_marker_back(self) -> None:
        fence = self._publication.fence
        if fence is None or self._taken is None:
            return
        try:
            await fence.reset(self._zone, only=self._taken)
        except ProviderConflict:
            # An instance took it meanwhile: then it is not ours to remove.
            self._tell("ok", f"an instance took the marker of {self._zone} meanwhile; it stays")
        self._taken = None

    def _tell_end(self) -> None:
        if self._stands:
            self.measured["left"] = self._name
            self._tell(
                "error",
                f"{self._key} {ADDRESS} may be left in {self._zone}, since it could not be "
                f"removed ({self._why_left}): remove it by hand",
            )
        if self._taken is not None:
            self._tell(
                "error",
                f"the marker of {self._zone} may be left, with epoch {NOBODYS_EPOCH}: 'dnslb "
                f"fence reset {self._zone}' removes it, and any instance of ours takes it",
            )
        if not self._stands and self._taken is None:
            self._tell("ok", "nothing of the canary is left")

    # -------------------------------------------------------------------------------- telling

    def _note(self, key: str, value: object, sentence: str, level: Level = "ok") -> None:
        self.measured[key] = value
        self._tell(level, sentence)

    def _tell(self, level: Level, sentence: str) -> None:
        self._tell_finding(Finding(level, self._name, sentence))

    def _mono(self) -> float:
        return self._clock.now().mono


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"
