"""From names to parts: the only file that names concrete parts.

Imports stand inside the functions for the sake of start-up cost: a daemon loads the parts that
its configuration uses, and no others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from dnslb import __version__
from dnslb.daemon.alone import Alone
from dnslb.daemon.config import AutodnsConfig, BindConfig, Config, FileConfig, OctodnsConfig
from dnslb.daemon.logs import log_exchange
from dnslb.daemon.octodns_table import revealed, secrets_within
from dnslb.election.surroundings import Perform, Surroundings
from dnslb.errors import ConfigError
from dnslb.metrics.counters import Counters
from dnslb.model.lease import Lease
from dnslb.model.loadbalancer import Monitor
from dnslb.net.clock import Clock
from dnslb.ports.cluster import Cluster
from dnslb.ports.elector import Elector
from dnslb.ports.fence import Fence
from dnslb.ports.monitor_list import MonitorListStore
from dnslb.ports.noticeboard import Noticeboard
from dnslb.ports.provider import Provider
from dnslb.ports.source import Source
from dnslb.ports.state_store import StateStore
from dnslb.ports.verifier import Verifier
from dnslb.ports.watched import Watched

if TYPE_CHECKING:
    from dnslb.daemon.raft_parts import RaftParts
    from dnslb.verify.exchange import Exchange
    from dnslb.verify.servers import ServerFinder


async def _nothing() -> None:
    """To be opened or closed."""
    await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class Election:
    """The parts that rest on one ground. ``leave``: before a stop; gives up what is held, to
    somebody else where there is one. ``record_clean_stop``: to be called when no write is under
    way or will be. ``close``: gives the ground back. ``confirm``: asks whether what is held is
    still ours, where somebody else could have it. ``perform``: an operator's command, where
    another instance may be the one to ask. ``open``: before anything else is; raises `DnslbError`.
    ``reload``: takes what it can of a new configuration. ``aclose``: when nobody asks anything any
    more. ``raft``: what there is of a cluster."""

    store: StateStore
    elector: Elector
    cluster: Cluster
    record_clean_stop: Callable[[], Awaitable[None]]
    close: Callable[[], None]
    leave: Callable[[], Awaitable[None]]
    confirm: Callable[[], Awaitable[str | None]] | None = None
    perform: Perform | None = None
    open: Callable[[], Awaitable[None]] = _nothing
    reload: Callable[[Config], None] = lambda config: None
    aclose: Callable[[], Awaitable[None]] = _nothing
    raft: RaftParts | None = None


def make_election(
    config: Config,
    clock: Clock,
    lease: Callable[[], Lease | None],
    counters: Counters,
    around: Callable[[], Surroundings],
) -> Election:
    """Takes hold of the ground; ``lease`` is the one in force, for the views;
    ``around``: what a member of a cluster asks of the daemon. Raises `LocalError` when the
    directory cannot be used, or another process does."""
    if config.election == "raft":
        from dnslb.daemon.raft_parts import RaftParts  # noqa: PLC0415 - lazy: start-up

        return RaftParts(config, clock, counters, around()).as_election()
    if config.election == "k8s":
        from dnslb.daemon.kubernetes_parts import KubernetesParts  # noqa: PLC0415 - lazy: start-up

        return KubernetesParts(config, clock, lease, counters, around()).as_election()
    from dnslb.election.singleton import SingletonElector  # noqa: PLC0415 - lazy: start-up
    from dnslb.election.statedir import StateDirectory  # noqa: PLC0415 - lazy: start-up
    from dnslb.election.statefile import STATE_NAME, StateFileStore  # noqa: PLC0415 - lazy

    directory = StateDirectory(config.state_dir)
    store = StateFileStore(directory.path / STATE_NAME, clock)
    elector = SingletonElector(
        store, instance_id=config.instance_id, owner_id=config.owner_id or ""
    )
    return Election(
        store=store,
        elector=elector,
        cluster=Alone(config.instance_id, __version__, config.election, lease),
        record_clean_stop=store.record_clean_stop,
        close=directory.close,
        leave=partial(elector.resign, "stopping"),
    )


Rehearse = Callable[[str, Collection[str]], Awaitable[str]]
AUTODNS_CALLS_PER_S_BESIDE = 0.5
"""Of the three that AutoDNS grants a daemon takes 2.5."""
NameServers = Callable[[str], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Publication:
    """Where DNS is written, with all that belongs to it.

    ``fence``: None where no marker is kept. ``rehearse``: zone, names → a sentence about whether
    writes of these would be let through, found out without writing; raises `ProviderError` where
    not. ``clock_skew_s``: how far the provider's clock was ahead at its last answer, where that
    shows. ``name_servers``: zone → the host names of its name servers; None where the provider
    does not know them. ``run``: work of its own, until it is cancelled. ``reload``: takes what a
    running provider can from a new configuration; a person has seen to what it complained of.
    ``aclose``: when nothing reads or writes any more.
    """

    provider: Provider
    fence: Fence | None = None
    rehearse: Rehearse | None = None
    clock_skew_s: Callable[[], float | None] = lambda: None
    name_servers: NameServers | None = None
    run: Callable[[Noticeboard], Awaitable[None]] | None = None
    reload: Callable[[Config], None] = lambda config: None
    aclose: Callable[[], Awaitable[None]] = _nothing


def make_publication(config: Config, clock: Clock, *, beside: bool = False) -> Publication | None:
    """None without ``-provider``. Opens nothing yet. ``beside``: a daemon may be at work with the
    same provider, so only what its call budget leaves is used. Raises `ConfigError` for settings
    that make no sense."""
    if config.provider is None:
        return None
    if config.file is not None:
        return _file(config.file, clock)
    if config.bind is not None:
        return _bind(config.bind, config.owner_id or "", clock)
    if config.autodns is not None:
        return _autodns(config, config.autodns, clock, beside)
    if config.octodns is not None:
        return _octodns(config.octodns, config.owner_id or "", clock)
    raise ConfigError(f"provider {config.provider} is not in this version yet")


def _file(file: FileConfig, clock: Clock) -> Publication:
    from dnslb.providers.zonefile import ZoneFileProvider  # noqa: PLC0415 - lazy: start-up

    return Publication(ZoneFileProvider(file.directory, file.reload_command, file.shared, clock))


def _bind(bind: BindConfig, owner_id: str, clock: Clock) -> Publication:
    from dnslb.providers.rfc2136 import Rfc2136Provider  # noqa: PLC0415 - lazy: start-up

    provider = Rfc2136Provider(bind.server, bind.key, owner_id, bind.ownership, clock=clock)
    return Publication(
        provider,
        provider.fence,
        rehearse=provider.rehearse,
        clock_skew_s=lambda: provider.clock_skew_s,
        aclose=provider.aclose,
    )


def _autodns(config: Config, autodns: AutodnsConfig, clock: Clock, beside: bool) -> Publication:
    from dnslb.providers.autodns import AutoDnsProvider  # noqa: PLC0415 - lazy: start-up
    from dnslb.providers.autodns_budget import CallBudget  # noqa: PLC0415 - lazy: start-up

    provider = AutoDnsProvider(
        autodns.url,
        autodns.username,
        autodns.password.reveal,
        autodns.context,
        config.owner_id or "",
        budget=CallBudget(AUTODNS_CALLS_PER_S_BESIDE) if beside else None,
        dump=log_exchange if config.dump_http else None,
        clock=clock,
    )

    def reload(new: Config) -> None:
        provider.reload(new.autodns.password.reveal if new.autodns else None)

    return Publication(
        provider,
        provider.fence,
        rehearse=provider.rehearse,
        clock_skew_s=lambda: provider.clock_skew_s,
        name_servers=provider.name_servers,
        run=provider.run,
        reload=reload,
    )


def _octodns(octodns: OctodnsConfig, owner_id: str, clock: Clock) -> Publication:
    from dnslb.providers.octodns import OctodnsProvider  # noqa: PLC0415 - lazy: start-up

    table = octodns.table
    provider = OctodnsProvider(
        octodns.class_name,
        revealed(table.settings),
        owner_id,
        secrets=[secret.reveal() for secret in secrets_within(table.settings)],
        zones=table.zones,
        accepted=table.accepted,
        ownership=table.ownership,
        clock=clock,
    )
    return Publication(provider, provider.fence)


def make_verifier(config: Config, publication: Publication, clock: Clock) -> Verifier | None:
    """None where nobody is to be asked, as the settings say."""
    if config.to_settings(publication.provider.capabilities).unverified is not None:
        return None
    from dnslb.verify.exchange import Exchange  # noqa: PLC0415 - lazy: start-up
    from dnslb.verify.watch import Watch  # noqa: PLC0415 - lazy: start-up

    exchange = Exchange()
    finder = make_server_finder(config, publication, exchange)
    return Watch(finder, exchange, clock, config.verify.timeout_s)


def make_server_finder(
    config: Config, publication: Publication, exchange: Exchange
) -> ServerFinder:
    """Who is asked what a zone answers."""
    from dnslb.verify.servers import ServerFinder  # noqa: PLC0415 - lazy: start-up

    return ServerFinder(
        exchange,
        named=config.verify.servers,
        primary=config.bind.server if config.bind else None,
        provider=publication.name_servers,
    )


class LocalSource(Source, Protocol):
    """A source whose checks run in this process, and prove nothing across a stall of it."""

    def void_in_flight(self) -> None: ...

    def round_trip_s(self, monitor: Monitor) -> float | None: ...


class OpenedSource(Source, Protocol):
    """A source with files or sockets, which are opened before anything else begins."""

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


class StoreSource(OpenedSource, MonitorListStore, Protocol):
    """A source in whose store the monitor list stands as well."""


def make_prober(config: Config, clock: Clock) -> LocalSource:
    """The built-in source, whose reports are this instance's vote."""
    from dnslb.sources.prober import Prober  # noqa: PLC0415 - lazy: not all instances check

    return Prober(config.instance_id, clock=clock, age_s_max=config.report_max_age_s)


def make_receiver(
    config: Config, clock: Clock, agents: Callable[[], Collection[str]]
) -> OpenedSource | None:
    """Where agents report; None without ``-healthd-listen``."""
    if config.healthd is None:
        return None
    from dnslb.net.tls import TlsFiles  # noqa: PLC0415 - lazy: start-up
    from dnslb.sources.healthd import HealthdReceiver  # noqa: PLC0415 - lazy: start-up

    healthd = config.healthd
    return HealthdReceiver(
        host=healthd.listen.host,
        port=healthd.listen.port,
        files=TlsFiles(ca=healthd.ca, cert=healthd.crt, key=healthd.key),
        agents=agents,
        clock=clock,
    )


def make_store_source(
    config: Config,
    clock: Clock,
    agents: Watched[tuple[str, ...]],
    notices: Noticeboard,
    counters: Counters,
) -> StoreSource | None:
    """Where a healthd keeps its reports; None without ``-etcd``."""
    if config.etcd is None:
        return None
    from dnslb.net.tls import TlsFiles  # noqa: PLC0415 - lazy: start-up
    from dnslb.sources.etcd import EtcdSource  # noqa: PLC0415 - lazy: start-up
    from dnslb.sources.etcd_follow import Login  # noqa: PLC0415 - lazy: start-up
    from dnslb.sources.etcd_http import EtcdHttp  # noqa: PLC0415 - lazy: start-up

    etcd = config.etcd
    return EtcdSource(
        EtcdHttp(etcd.urls, TlsFiles(ca=etcd.tls.ca, cert=etcd.tls.crt, key=etcd.tls.key)),
        api=etcd.api,
        look_s=etcd.interval_monitoring_s,
        agents=agents,
        clock=clock,
        notices=notices,
        # Agents that report straight get the whole list, so nobody has to act.
        left_out="warning" if config.healthd is None else "info",
        login=Login(etcd.user, etcd.password.reveal if etcd.password is not None else str),
        on_error=counters.count_etcd_error,
        observe_read_s=lambda seconds: counters.etcd_sync_ms.observe(seconds * 1000),
    )
