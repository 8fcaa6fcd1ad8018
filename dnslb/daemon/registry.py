"""From names to parts: the only file that names concrete parts.

Imports stand inside the functions for the sake of start-up cost: a daemon loads the parts that
its configuration uses, and no others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from dnslb import __version__
from dnslb.daemon.alone import Alone
from dnslb.daemon.config import Config
from dnslb.errors import ConfigError
from dnslb.model.lease import Lease
from dnslb.net.clock import Clock
from dnslb.ports.cluster import Cluster
from dnslb.ports.elector import Elector
from dnslb.ports.provider import Provider
from dnslb.ports.source import Source
from dnslb.ports.state_store import StateStore


@dataclass(frozen=True, slots=True)
class Election:
    """The parts that rest on one ground. ``record_clean_stop``: to be called when no write is
    under way or will be. ``close``: gives the ground back."""

    store: StateStore
    elector: Elector
    cluster: Cluster
    record_clean_stop: Callable[[], Awaitable[None]]
    close: Callable[[], None]


def make_election(config: Config, clock: Clock, lease: Callable[[], Lease | None]) -> Election:
    """Takes hold of the state directory; ``lease`` is the one in force, for the views. Raises
    `LocalError` when the directory cannot be used, or another process does."""
    if config.election != "singleton":
        raise ConfigError(f"election {config.election} is not in this version yet")
    from dnslb.election.singleton import SingletonElector  # noqa: PLC0415 - lazy: start-up
    from dnslb.election.statedir import StateDirectory  # noqa: PLC0415 - lazy: start-up
    from dnslb.election.statefile import STATE_NAME, StateFileStore  # noqa: PLC0415 - lazy

    directory = StateDirectory(config.state_dir)
    store = StateFileStore(directory.path / STATE_NAME, clock)
    return Election(
        store=store,
        elector=SingletonElector(
            store, instance_id=config.instance_id, owner_id=config.owner_id or ""
        ),
        cluster=Alone(config.instance_id, __version__, config.election, lease),
        record_clean_stop=store.record_clean_stop,
        close=directory.close,
    )


def make_provider(config: Config, clock: Clock) -> Provider | None:
    """None without ``-provider``. Raises `ConfigError` for settings that make no sense."""
    if config.provider is None:
        return None
    if config.file is not None:
        from dnslb.providers.zonefile import ZoneFileProvider  # noqa: PLC0415 - lazy: start-up

        file = config.file
        return ZoneFileProvider(file.directory, file.reload_command, file.shared, clock)
    raise ConfigError(f"provider {config.provider} is not in this version yet")


class LocalSource(Source, Protocol):
    """A source whose checks run in this process, and prove nothing across a stall of it."""

    def void_in_flight(self) -> None: ...


class ListeningSource(Source, Protocol):
    """A source with sockets, which are opened before anything else begins."""

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


def make_prober(config: Config, clock: Clock) -> LocalSource:
    """The built-in source, whose reports are this instance's vote."""
    from dnslb.sources.prober import Prober  # noqa: PLC0415 - lazy: not all instances check

    return Prober(config.instance_id, clock=clock, age_s_max=config.report_max_age_s)


def make_receiver(
    config: Config, clock: Clock, agents: Callable[[], Collection[str]]
) -> ListeningSource | None:
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
